"""The rooms of each package: imports go one way, names are unique, and the map shows them all."""

import ast
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A room is a folder, or a module beside the folders. Each may import those before it.
ROOMS = {
    "adaptact": (
        *("text", "errors", "files", "memory", "output", "languages", "style", "report", "suggestions"),
        *("installation", "cores", "providers", "tables", "console", "usage", "exit_codes", "options"),
        *("progress", "completion", "halving", "cluster", "doctor", "cli"),
    ),
    "adaptive_act": (
        *("errors", "kernels", "fused", "layout", "learned", "plain", "site", "activation", "activations"),
        *("swapping", "checkpoint", "libraries", "explain", "training", "study", "public"),
        "commands",
    ),
    "convert": (
        *("errors", "manifest", "model_io", "artefact", "graph", "rules", "rewriting", "sources", "parity"),
        *("tuning", "precision", "evidence", "dossier", "latency", "writing", "choosing", "pipeline"),
        *("recheck", "commands"),
    ),
    "serve": (
        *("engine", "sources"),
        *("drift", "experiments", "rollout", "access", "protocol", "settings", "options", "shared"),
        *("observe", "rejections", "http2", "grpc", "console", "rest", "workers", "cluster", "client", "cli"),
    ),
}

# Their users see one side only: callbacks for Lightning or for transformers, the client or the server.
TWINS = ("adaptive_act/training/lightning.py", "serve/client/")


@functools.cache
def _modules(package: str) -> Sequence[tuple[Path, ast.Module]]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The modules of the package that are imported, wherever the import stands; or a name in one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith(f"{package}."))


def _room(path: Path, package: str) -> str:
    return path.relative_to(ROOT / package).parts[0].removesuffix(".py")


@pytest.mark.slow
@pytest.mark.parametrize("package", ROOMS)
def test_every_room_is_listed(package: str) -> None:
    rooms = {_room(path, package) for path, _ in _modules(package)} - {"__init__", "__main__"}
    assert rooms == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_the_rooms_before_them(package: str) -> None:
    order = {room: place for place, room in enumerate(ROOMS[package])}
    backward = set()
    for path, tree in _modules(package):
        room = _room(path, package)
        if room in {"__init__", "__main__"}:  # the package's public names and its command, above all rooms
            continue
        for name in _imported(tree, package):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top == package and target in order and order[target] > order[room]:
                backward.add(f"{path.relative_to(ROOT)} -> {name}")
    assert backward == set()


@pytest.mark.parametrize("package", ROOMS)
def test_no_two_classes_of_a_package_share_a_name(package: str) -> None:
    names = Counter(
        node.name
        for path, tree in _modules(package)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not path.relative_to(ROOT).as_posix().startswith(TWINS)
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("package", ROOMS)
def test_the_map_names_every_room(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (section,) = [part for part in page.split("\n## ") if part.startswith(f"`{package}`")]
    assert [room for room in ROOMS[package] if f"| `{room}`" not in section] == []

"""Counts modules, folders that import each other, and the files that a task passes through.

`python -m benchmarks.structure` prints it as Markdown. A file counts for a task where any of its functions
runs while the task is done a second time, so that imports do not count.
"""

import ast
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import torch
from prometheus_client import CollectorRegistry
from torch import nn

import adaptive_act
from convert.pipeline import convert
from serve.engine.engine import open_engine
from serve.engine.metrics import Metrics
from serve.engine.options import EngineOptions
from serve.rest.app import create_app
from serve.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("adaptact", "adaptive_act", "convert", "serve")
FACTORY = "benchmarks.structure:build"
INPUT = {"name": "x", "dtype": "float32", "shape": [None, 3, 8, 8]}
BODY = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [%s]}]}' % b",".join(
    [b"0.5"] * 192
)


@adaptive_act.model_factory
def build() -> nn.Module:
    """A small network with two activations: [N, 3, 8, 8] -> [N, 4]."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )


def count_modules(package: str) -> int:
    """How many Python files the package has."""
    return sum(1 for _ in (ROOT / package).rglob("*.py"))


def find_two_way_pairs(package: str) -> set[tuple[str, str]]:
    """The pairs of folders of which each imports from the other; a package's `__init__` imports from all."""
    arrows = {arrow for path in (ROOT / package).rglob("*.py") for arrow in _arrows(path)}
    return {(source, target) for source, target in arrows if (target, source) in arrows and source < target}


def _arrows(path: Path) -> Iterator[tuple[str, str]]:
    own = _folder(path)
    if path.name == "__init__.py" and path.parent.parent == ROOT:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                target = _file(f"{node.module}.{name.name}") or _file(node.module)
                if target is not None and _folder(target) != own and target.parts[0] == own.split("/")[0]:
                    yield own, _folder(target)


def _folder(path: Path) -> str:
    """The folder, or the module itself where it stands beside the folders of a package."""
    relative = path.relative_to(ROOT) if path.is_absolute() else path
    return str(relative if len(relative.parts) == 2 else relative.parent)


def _file(module: str) -> Path | None:
    place = Path(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if (ROOT / path).is_file():
            return path
    return None


def trace_files(task: Callable[[], object]) -> list[str]:
    """The project's files of which a function runs while the task is done."""
    task()
    touched: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            touched.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        task()
    finally:
        sys.setprofile(None)
    paths = (Path(name) for name in touched)
    own = [path.relative_to(ROOT) for path in paths if path.is_absolute() and path.is_relative_to(ROOT)]
    return sorted(str(path) for path in own if path.parts[0] in PACKAGES)


def _export(folder: Path) -> Callable[[], object]:
    swapped = adaptive_act.swap(build(), {nn.ReLU: adaptive_act.PReLU}, example=torch.randn(2, 3, 8, 8))
    source, target = folder / "model.pt", folder / "models" / "net" / "1" / "model.onnx"
    target.parent.mkdir(parents=True)
    adaptive_act.save(swapped.model, source, factory=FACTORY, inputs=[INPUT], outputs=["logits"])
    return lambda: convert(source, target, factory=FACTORY)


def _swap() -> object:
    return adaptive_act.swap(build(), {nn.ReLU: adaptive_act.PReLU}, example=torch.randn(2, 3, 8, 8))


def _infer(folder: Path) -> Callable[[], object]:
    engine = open_engine(EngineOptions(folder), Metrics(CollectorRegistry()))
    app = create_app(engine, Settings(models=folder))

    async def answer() -> None:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        path = "/v2/models/net/infer"
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": []}
        scope |= {"query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}
        await app(scope, receive, send)  # type: ignore[arg-type]  # plain dictionaries, as web servers send them
        assert sent[0]["status"] == 200, sent

    return lambda: asyncio.run(answer())


def main() -> None:
    """Print the table and the lists."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = {"export": _export(folder), "swap": _swap}
        lists = {task: trace_files(run) for task, run in tasks.items()}
        lists["infer"] = trace_files(_infer(folder / "models"))
    print("| what | count |\n|---|---|")
    for package in PACKAGES:
        print(f"| modules of `{package}` | {count_modules(package)} |")
        print(f"| pairs of its folders that import each other | {len(find_two_way_pairs(package))} |")
    for task, files in lists.items():
        print(f"| files that one {task} passes through | {len(files)} |")
    for task, files in lists.items():
        print(f"\n{task}: {', '.join(f'`{file}`' for file in files)}")


if __name__ == "__main__":
    main()

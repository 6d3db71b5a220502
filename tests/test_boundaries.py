"""Who may import whom, and what the wheel holds."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from onnx.parser import parse_model

import adaptact

ROOT = Path(__file__).parents[1]
PACKAGES = ("adaptact", "adaptive_act", "convert", "serve")

EXPORTER = ("onnx", "onnxscript", "onnx_ir", "onnxruntime")
# A server reads what describes a model, and nothing else of convert until a policy needs it.
CONVERTER = ("convert.errors", "convert.manifest.manifest")
TRAINER = ("torch", "onnx", "onnxscript", "onnx_ir", "matplotlib", "adaptive_act", *CONVERTER)
DRAWING = ("matplotlib", "jinja2", "typer", "rich")
WEB = ("fastapi", "starlette", "uvicorn")

SERVER = (*TRAINER, *WEB)
NOT_LOADED = [
    (("serve.rest.app",), (*TRAINER, "rich", "typer", "grpc", "serve.grpc")),
    (
        ("serve.protocol.metadata", "serve.protocol.predict", "serve.grpc.server"),
        (*SERVER, "grpc", "serve.rest"),
    ),
    (("serve.engine", "serve.observe.observers"), (*SERVER, "opentelemetry", "serve.rest", "serve.grpc")),
    (("serve.protocol.messages",), (*SERVER, "pydantic")),
    (("serve.cluster.command",), (*TRAINER, "ray")),
    (("serve.cli",), (*TRAINER, "ray", "serve.cluster")),
    (("serve.client",), (*SERVER, "convert", "pydantic", "onnxruntime", "orjson", "simdjson", "grpc")),
    (
        ("serve.client.experiments.command",),
        (*SERVER, "sqlalchemy", "pydantic", "scipy", "yaml", "jinja2", "onnxruntime"),
    ),
    (("serve.workers.supervisor",), (*SERVER, "convert", "pydantic", "onnxruntime", "numpy", "grpc")),
    (("adaptive_act.explain",), (*DRAWING, "scipy", "onnx", "convert")),
    (
        ("adaptive_act.training", "adaptive_act.public"),
        (
            *DRAWING,
            *EXPORTER,
            "scipy",
            "lightning",
            "transformers",
            "tensorboard",
            "fastapi",
            "convert",
            "serve",
        ),
    ),
    (("adaptive_act.commands.swap", "adaptive_act.commands.study"), ("torch", "numpy", *EXPORTER)),
    (("convert.pipeline",), ("fastapi", "uvicorn", "serve")),
    (
        ("convert.manifest.manifest", "convert.manifest.signature"),
        ("torch", "numpy", "onnx", "onnxruntime", "cryptography"),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("modules", "forbidden"), NOT_LOADED, ids=lambda value: value[0])
def test_a_fresh_import_loads_nothing_it_must_not(
    modules: tuple[str, ...], forbidden: tuple[str, ...], tmp_path: Path
) -> None:
    code = f"import sys, {', '.join(modules)}; print(*(name for name in {forbidden} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["serve.engine", "convert.model_io.runtime"])
def test_onnx_runtime_does_not_report_to_its_maker(module: str, tmp_path: Path) -> None:
    """When it does, it keeps what it has to send, and this installation's number, in the home folder."""
    model = parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    code = f"""
import {module}, sys, onnxruntime
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), providers=["CPUExecutionProvider"])
session.run(None, {{"x": [1.0]}})
"""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | home
    content = model.SerializeToString()
    subprocess.run([sys.executable, "-c", code], input=content, env=environment, check=True, cwd=tmp_path)
    assert list(tmp_path.rglob("*")) == []


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that was built from it."""
    return _build(ROOT, tmp_path_factory.mktemp("dist"))


def _build(source: Path, folder: Path) -> Path:
    # Without isolation, so that the build backend of the environment is used and nothing is fetched.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (built,) = dist.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_sdist_holds_the_packages_and_what_they_are_built_with(dist: Path) -> None:
    (built,) = dist.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        tops = {name.split("/")[1] for name in archive.getnames()}
    files = ("README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", "pyproject.toml", "PKG-INFO")
    assert tops == {*PACKAGES, *files, ".gitignore"}


def test_the_wheel_holds_every_file_of_the_console(wheel: Path) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "serve" / "console").rglob("*.*")}
    shared = {"adaptact/style/tokens.css", "adaptact/languages/locales/ja/ja.json"}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in files if "__pycache__" not in name} | shared <= set(archive.namelist())


@pytest.mark.slow
def test_wheel_and_sdist_are_small(dist: Path) -> None:
    """Neither pictures nor results of benchmarks are in them."""
    assert all(path.stat().st_size < 2 * 2**20 for path in dist.iterdir())


@pytest.mark.slow
def test_the_same_sources_make_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """Whoever builds them, when and wherever: here elsewhere, with other times and permissions."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (copy,) = tmp_path.iterdir()
    for path in copy.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1e9, 1e9))
    again = _build(copy, tmp_path / "dist")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in dist.iterdir()
    }


@pytest.mark.slow
def test_the_wheel_lists_the_libraries_it_carries(wheel: Path) -> None:
    """As PEP 770 says: a bill of materials and the licences lie beside the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (bill,) = (
            name for name in archive.namelist() if name.endswith(".dist-info/sboms/libraries.cdx.json")
        )
        libraries = [component["name"] for component in json.loads(archive.read(bill))["components"]]
        licences = [name for name in archive.namelist() if ".dist-info/licenses/serve/" in name]
    assert libraries == ["preact", "htm", "signals-core", "signals", "uplot"]
    assert len(licences) == 4  # signals-core has the licence of signals


@pytest.mark.slow
def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    assert (metadata["Name"], metadata["Version"]) == ("adaptact", adaptact.__version__)
    assert metadata.get_all("License-File", [])[0] == "LICENSE"
    assert str(metadata.get_payload()).startswith("# adaptact")


@pytest.mark.slow
def test_the_wheel_holds_exactly_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.slow
def test_the_wheel_holds_every_source_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert sources <= names


def test_a_file_can_be_read_in_one_sitting() -> None:
    """At most 300 lines a file; longer ones hold more than one thing."""
    paths = [
        path for folder in (*PACKAGES, "examples", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > 300} == {}

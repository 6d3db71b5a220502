"""Every command where nothing but adaptact's own needs is installed: a line that says what to install."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from adaptact.cli import COMMANDS
from adaptact.installation import install_line
from convert.artefact.signing import sign
from tests.convert.keys import write_keys

# What pip brings with numpy, typer, rich and packaging, and adaptact's own packages.
CORE = (
    *("adaptact", "adaptive_act", "convert", "serve", "numpy", "typer", "rich", "packaging", "click"),
    *("shellingham", "pygments", "markdown_it", "mdurl", "typing_extensions", "annotated_doc"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection"),  # typer's own
)
# Runs each command line of standard input where all other packages are missing, and prints how it ended.
CHILD = f"""
import contextlib, io, json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if not (top in sys.stdlib_module_names or top in allowed or top.startswith("_sysconfigdata")):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

from adaptact.cli import main
allowed = {{*{CORE}}}
sys.meta_path.insert(0, Missing())
before = set(sys.modules)
for words, extra in json.load(sys.stdin):
    allowed |= set(extra)
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = words
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException as error:
            status = repr(error)
    for name in set(sys.modules) - before:  # each command as in a process of its own
        if name.partition(".")[0] in ("adaptive_act", "convert", "serve"):
            del sys.modules[name]
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""
WITHOUT = ("doctor", "key", "describe")
ARGUMENTS: Mapping[str, str] = {
    "export": "m.pt m.onnx",
    "verify": "m.pt m.onnx",
    "inspect": "m.onnx",
    "study": "--output study",
    "serve": "--models models",
    "predict": "http://127.0.0.1:1 m in.csv -o out.csv",
    "experiment": "list",
    "swap": "m.pt swapped.pt --to PReLU",
    "dossier": "m.onnx d.html",
    "cluster": "status",
}


@dataclass(frozen=True)
class Ended:
    status: int | str
    out: str
    err: str


def run(folder: Path, *lines: str, also: tuple[str, ...] = ()) -> list[Ended]:
    """How each command line ended in the folder; packages in `also` are there too."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([[shlex.split(line), also] for line in lines]),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return [Ended(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("core")
    for name in ("m.pt", "m.onnx", "in.csv"):
        (made / name).write_text("x")
    (made / "models").mkdir()
    return made


def test_each_command_says_what_to_install(folder: Path) -> None:
    names = [name for name in COMMANDS if name not in WITHOUT]
    lines = [f"{program} {ARGUMENTS[name]}" for name in names for program in (f"adaptact {name}",)]
    lines += [f"/bin/adaptact-{name} {ARGUMENTS[name]}" for name in names]
    for line, ended in zip(lines, run(folder, *lines), strict=True):
        name = line.removeprefix("/bin/adaptact-").removeprefix("adaptact ").split()[0]
        assert (ended.status, ended.out) == (1, ""), f"{line}: {ended}"
        error, hint = ended.err.splitlines()
        assert error.startswith("error: "), line
        assert re.search(r" needs `\w+`, which is not installed$", error), line
        assert hint == f"hint: {install_line(COMMANDS[name].extra)}"


def test_what_needs_no_package_answers(folder: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }'
    )
    (folder / "relu.onnx").write_bytes(model.SerializeToString())
    (folder / "names.txt").write_text("a\nb")
    lines = (
        *("--help", "--version", "--show-completion bash", "key keys.toml --name a --role infer"),
        "describe relu.onnx --classes names.txt --columns names.txt --json",
    )
    for ended in run(folder, *(f"adaptact {line}" for line in lines)):
        assert (ended.status, ended.err) == (0, "")
        assert ended.out


def test_a_signature_is_verified_without_torch_or_onnx(folder: Path) -> None:
    keys = write_keys(folder)
    empty = b"\x08\x08:\x00"  # a model with an empty graph
    (folder / "signed.onnx").write_bytes(sign(empty, keys.private))
    line = f"adaptact verify signed.onnx --public-key {keys.public.name} --json"
    other = f"adaptact verify m.onnx --public-key {keys.public.name}"
    good, bad = run(folder, line, other, also=("cryptography", "cffi", "_cffi_backend"))
    assert (good.status, good.err) == (0, "")
    assert len(json.loads(good.out)["signed_by"]) == 64
    assert bad.status == 1
    assert "carries no signature" in bad.err

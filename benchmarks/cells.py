"""What a benchmark has measured so far: a file a cell, so that an interrupted one goes on where it was."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adaptact.files import replace_file

ROOT = Path(__file__).parents[1]
BUILD = Path("build/benchmarks")
PACKAGES = ("torch", "onnxruntime", "onnx", "onnxscript")
SOURCES = ("adaptive_act", "convert")

Cell = dict[str, Any]


class Cells:
    """The measurements of one state of the code with one choice of settings, as JSON under BUILD."""

    def __init__(self, benchmark: str, own: Iterable[str], **settings: object) -> None:
        self.folder = BUILD / benchmark / digest(own, settings)
        self.folder.mkdir(parents=True, exist_ok=True)

    def measured(self, key: str, measure: Callable[[], Cell]) -> Cell:
        """The cell with this key: as it stands there, or measured now and kept."""
        path = self.folder / f"{re.sub('[^A-Za-z0-9_.-]+', '-', key)}.json"
        if not path.exists():
            content = json.dumps(measure())
            with replace_file(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        cell: Cell = json.loads(path.read_text(encoding="utf-8"))
        return cell


def digest(own: Iterable[str], settings: object) -> str:
    """What a measurement stands for: the sources, the modules `own` of benchmarks, versions and settings.

    A cell that was measured with other code is not found again.
    """
    files = [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))]
    files += [ROOT / "benchmarks" / f"{name}.py" for name in own]
    found = hashlib.sha256(repr((settings, [(name, version(name)) for name in PACKAGES])).encode())
    for path in files:
        found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]

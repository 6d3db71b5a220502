"""The cells that a benchmark has measured, one file each, so that an interrupted benchmark continues."""

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


class CellStore:
    """The measurements of one state of the code with one choice of settings, as JSON under BUILD."""

    def __init__(self, benchmark: str, own: Iterable[str], **settings: object) -> None:
        self.folder = BUILD / benchmark / compute_digest(own, settings)
        self.folder.mkdir(parents=True, exist_ok=True)

    def get_or_measure(self, key: str, measure: Callable[[], Cell]) -> Cell:
        """The cell with this key, from its file or measured now and written."""
        path = self._find(key)
        if not path.exists():
            content = json.dumps(measure())
            with replace_file(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        cell: Cell = json.loads(path.read_text(encoding="utf-8"))
        return cell

    def holds(self, key: str) -> bool:
        """Whether the cell was measured."""
        return self._find(key).exists()

    def forget(self, key: str) -> None:
        """Have the cell measured again by the next run."""
        self._find(key).unlink(missing_ok=True)

    def _find(self, key: str) -> Path:
        return self.folder / f"{re.sub('[^A-Za-z0-9_.-]+', '-', key)}.json"


def compute_digest(own: Iterable[str], settings: object) -> str:
    """The digest of a measurement: of the sources, the benchmark modules `own`, versions and settings.

    Cells of other code have another digest.
    """
    files = [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))]
    files += [ROOT / "benchmarks" / f"{name}.py" for name in own]
    content = hashlib.sha256(repr((settings, [(name, version(name)) for name in PACKAGES])).encode())
    for path in files:
        content.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:16]

"""What was tuned before, in the user's cache folder: one small file for each graph, machine and question.

A file that is damaged, too large, no plain file or of another question is as good as none.
"""

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import onnxruntime

from adaptact.files import replace_file
from convert.manifest.decode import decode
from convert.manifest.fields import TuningRecord

LARGEST = 4 * 2**20  # bytes of a file that is read
FORMAT = "adaptact-tuning/1"

Key = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class _Stored:
    format: str
    key: dict[str, Any]
    tuning: TuningRecord


def key_of(graph: bytes, provider: str, threads: int, batches: Iterable[int]) -> Key:
    """All that the answer depends on: the untuned graph, the versions, the machine, and what was asked."""
    return {
        "graph": hashlib.sha256(graph).hexdigest(),
        "onnxruntime": onnxruntime.__version__,
        "adaptact": version("adaptact"),
        "processor": processor(provider),
        "provider": provider,
        "threads": threads,
        "batches": list(batches),
    }


def processor(provider: str) -> str:
    """The model of the machine's processor, and of its GPUs where those compute."""
    found = [_described(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()]
    if provider == "cuda":
        cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        found += [_described(card, "Model") for card in cards]
    return ", ".join(filter(None, found))


def _described(path: Path, name: str) -> str:
    """What a file of `name : value` lines says first of the name; nothing where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def folder() -> Path:
    """Where the files are: `adaptact/tuning` in XDG_CACHE_HOME, or else in ~/.cache."""
    named = Path(
        os.environ.get("XDG_CACHE_HOME", "")
    )  # a relative one is to be ignored, says its specification
    return (named if named.is_absolute() else Path.home() / ".cache") / "adaptact" / "tuning"


def read(key: Key) -> TuningRecord | None:
    """What was stored for this key; None where nothing usable was."""
    try:
        found: _Stored = decode(_Stored, json.loads(_text(_path(key)), parse_constant=_refuse), "cache")
    except (OSError, ValueError, RecursionError):  # a ManifestError is a ValueError
        return None
    return found.tuning if found.format == FORMAT and found.key == key else None


def write(key: Key, tuning: TuningRecord) -> None:
    """The record is stored, whole; or nothing is, where the folder cannot be written."""
    content = json.dumps(asdict(_Stored(FORMAT, dict(key), tuning)), allow_nan=False)
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with replace_file(_path(key)) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError:
        pass  # it is measured again next time


def _path(key: Key) -> Path:
    return folder() / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}.json"


def _text(path: Path) -> str:
    """A plain file's text. OSError or ValueError for a link, a pipe, or more than LARGEST bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"`{path}` is no plain file")
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"`{path}` has more than {LARGEST} bytes")
    return content.decode()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is not JSON")

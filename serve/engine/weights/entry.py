"""One entry of the weights' folder: an optimised model, its weights as the kernels want them, a record."""

import hashlib
import json
import os
import platform
import secrets
from collections.abc import Set
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

import onnxruntime as ort

MODEL, WEIGHTS, RECORD = "model.onnx", "weights.bin", "record.json"
FORMAT = 1
MAX_RECORD_BYTES = 2**20
BOOT = Path("/proc/sys/kernel/random/boot_id")
CPU_FIELDS = ("model name", "flags", "Features", "CPU part")


@dataclass(frozen=True, slots=True)
class Record:
    """What an entry holds, or why this model has none."""

    digests: dict[str, str]
    """SHA-256 of each file, by its name."""
    operators: list[str]
    """Of the graph before it was optimised for this processor."""
    unfit: str = ""
    """Why each worker loads the model for itself."""


class DamagedEntryError(Exception):
    """An entry that is not as it was written."""


def make_key(digest: str, threads: int) -> str:
    """The name of the entry of files with this digest: another one for all that the entry depends on."""
    about = [FORMAT, digest, threads, ort.__version__, ort.get_build_info(), *_read_processor()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def write_record(folder: Path, operators: Set[str], unfit: str = "") -> None:
    """Record the folder's files, after which only their owner may read them and nobody may write them."""
    names = [] if unfit else [MODEL, WEIGHTS]
    record = Record({name: _digest(folder / name) for name in names}, sorted(operators), unfit)
    (folder / RECORD).write_text(json.dumps(asdict(record)))
    for path in folder.iterdir():
        path.chmod(0o400)


def read_stamp(folder: Path) -> str:
    """Another text once one of the folder's files is written or replaced, or the machine starts anew."""
    names = sorted(os.listdir(folder))
    found = [(name, os.stat(folder / name, follow_symlinks=False)) for name in names]
    stamps = [(name, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns) for name, at in found]
    return json.dumps([_read_boot(), stamps])


def read_record(folder: Path, *, is_known: bool) -> Record:
    """The record, once the files are found to be what it says; those known to be are not read once more.

    Raises `DamagedEntryError` for anything else.
    """
    try:
        with _open(folder / RECORD) as stream:
            content = json.loads(stream.read(MAX_RECORD_BYTES))
        record = Record(**content)
        names = set() if record.unfit else {MODEL, WEIGHTS}
        is_whole = isinstance(record.digests, dict) and record.digests.keys() == names
        if not is_whole or not all(isinstance(name, str) for name in record.operators):
            raise DamagedEntryError("its record is incomplete")
        for name, digest in record.digests.items():
            if not is_known and _digest(folder / name) != digest:
                raise DamagedEntryError(f"`{name}` has changed")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DamagedEntryError(str(error)) from error
    return record


def _read_boot() -> str:
    """Another text after each start of the machine; at each call, where the system does not say."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return secrets.token_hex()


def _digest(path: Path) -> str:
    with _open(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _open(path: Path) -> FileIO:
    return FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))


def _read_processor() -> list[str]:
    """What the kernels, and with them the layout of weights, are chosen by."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [platform.machine(), platform.node()]
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    found = {key.strip(): value.strip() for key, _, value in lines}
    return [platform.machine(), *(found.get(name, "") for name in CPU_FIELDS)]

"""Earlier results of tuning in the user's cache folder, a small file for each graph, machine and options.

A file that is damaged, too large, not a plain file or of another key is ignored.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import onnxruntime

from adaptact.files import find_cache_folder, read_plain_text, replace_file
from adaptact.providers.catalogue import find_provider
from adaptact.providers.machine import describe_processor, list_versions
from adaptact.providers.provider import Precision
from convert.manifest.decode import decode
from convert.manifest.records import TuningRecord

LARGEST = 4 * 2**20  # bytes of a file that is read
FORMAT = "adaptact-tuning/1"

Key = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class _Entry:
    format: str
    key: dict[str, Any]
    tuning: TuningRecord


def make_key(
    graph: bytes, provider: str, threads: int, batches: Iterable[int], precision: Precision = "fp32"
) -> Key:
    """All that the result depends on: the untuned graph, the versions, the machine and the options.

    The provider computes the graph in `precision`.
    """
    return {
        "graph": hashlib.sha256(graph).hexdigest(),
        "onnxruntime": onnxruntime.__version__,
        "packages": list_versions(),
        "adaptact": version("adaptact"),
        "processor": describe_processor(with_gpus=find_provider(provider).on_gpu),
        "provider": provider,
        "threads": threads,
        "batches": list(batches),
        "precision": precision,
    }


def cache_folder() -> Path:
    """The folder of the files: `adaptact/tuning` in XDG_CACHE_HOME, or else in ~/.cache."""
    return find_cache_folder("tuning")


def read(key: Key) -> TuningRecord | None:
    """The record of this key; None where there is none that can be used."""
    try:
        entry: _Entry = decode(
            _Entry, json.loads(read_plain_text(_find_file(key), LARGEST), parse_constant=_refuse), "cache"
        )
    except (OSError, ValueError, RecursionError):  # a ManifestError is a ValueError
        return None
    return entry.tuning if entry.format == FORMAT and entry.key == key else None


def write(key: Key, tuning: TuningRecord) -> None:
    """The record is stored; nothing happens where the folder cannot be written."""
    content = json.dumps(asdict(_Entry(FORMAT, dict(key), tuning)), allow_nan=False)
    try:
        cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with replace_file(_find_file(key)) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError:
        pass  # the next run measures again


def _find_file(key: Key) -> Path:
    return cache_folder() / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}.json"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"`{name}` is not JSON")

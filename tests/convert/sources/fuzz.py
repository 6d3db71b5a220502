"""Reads damaged copies of a valid file of each kind; prints what came of them. A process of its own, bounded.

Run as `python -m tests.convert.sources.fuzz FOLDER COUNT`. All but a model or a ConversionError ends it.
"""

import contextlib
import json
import random
import resource
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from convert.artefact.signing import sign
from convert.errors import ConversionError
from convert.evidence.inspection import read_onnx_file, require_data
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.signature import load_public_key, verify
from convert.model_io.given import read_samples
from convert.sources.load import load
from tests.convert.keys import write_keys
from tests.convert.manifest.test_manifest import MANIFEST
from tests.convert.sources import files

MEMORY = 16 * 2**30  # bytes of addresses: torch alone takes some five
_WORDS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0")


def _flip_bits(content: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _truncate(content: bytearray, chance: random.Random) -> bytes:
    return bytes(content[: chance.randrange(len(content))])


def _overwrite_length(content: bytearray, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    content[place : place + 4] = chance.choice(_WORDS)
    return bytes(content)


def _swap_runs(content: bytearray, chance: random.Random) -> bytes:
    first, second = sorted(chance.randrange(len(content)) for _ in range(2))
    size = chance.randint(1, 8)
    return bytes(
        content[:first]
        + content[second : second + size]
        + content[first + size : second]
        + content[first : first + size]
        + content[second + size :]
    )


def _repeat_run(content: bytearray, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return bytes(
        content[:place] + content[max(place - 64, 0) : place] * chance.randint(1, 200) + content[place:]
    )


_DAMAGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    _flip_bits,
    _truncate,
    _overwrite_length,
    _swap_runs,
    _repeat_run,
)


def _write_damaged(source: Path, copy: Path, chance: random.Random) -> None:
    """One damage to the file or, since archives hold sums of their members, to one before it is packed."""
    damage = chance.choice(_DAMAGES)
    content = source.read_bytes()
    if not zipfile.is_zipfile(source) or chance.random() < 0.4:
        copy.write_bytes(damage(bytearray(content), chance))
        return
    copy.write_bytes(content)
    with zipfile.ZipFile(source) as archive:
        filled = [entry.filename.partition("/")[2] for entry in archive.infolist() if entry.file_size]
    chosen = chance.choice(filled)
    files.rewrite_archive(copy, lambda name, old: damage(bytearray(old), chance) if name == chosen else old)


def _load(path: Path, kind: str) -> object:
    factory = "tests.convert.sources.files:network" if kind == "state.pt" else None
    return load(path, factory, inputs=files.KINDS[kind][1])


def _inspect(path: Path, kind: str) -> object:
    file = read_onnx_file(path)
    require_data(file)
    return file.list_facts()


def _write_with_manifest(path: Path) -> Path:
    """A file with a manifest, small beside it, so that most damages meet the manifest."""
    proto = files.make_onnx_model()
    proto.metadata_props.add(key=MANIFEST_KEY, value=MANIFEST.to_json())
    return files.write_onnx(path, proto)


def _write_samples(path: Path) -> Path:
    np.savez(path, x=np.ones((3, 4), np.float32))
    return path


def _write_signed(path: Path) -> Path:
    pair = write_keys(path.parent)
    path.write_bytes(sign(files.write_onnx(path).read_bytes(), pair.private))
    return path


def _verify(path: Path, kind: str) -> object:
    return verify(path.read_bytes(), path.parent / "1.pub")


def _write_key(path: Path) -> Path:
    path.write_bytes(write_keys(path.parent).public.read_bytes())
    return path


READERS: Mapping[str, tuple[Callable[[Path], Path], Callable[[Path, str], object]]] = {
    **{kind: (write, _load) for kind, (write, _) in files.KINDS.items()},
    "told.onnx": (_write_with_manifest, _inspect),
    "samples.npz": (_write_samples, lambda path, kind: read_samples(path, [files.ROWS])),
    "signed.onnx": (_write_signed, _verify),
    "key.pem": (_write_key, lambda path, kind: load_public_key(path)),
}
"""How a sound file of each kind is written, and what reads a damaged one."""


def _read_outcome(path: Path, kind: str) -> str:
    try:
        READERS[kind][1](path, kind)
    except ConversionError as error:
        return type(error).__name__
    return "read"


def main(folder: Path, count: int) -> None:
    """As many damaged copies of each kind; the same ones for the same count."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    outcomes: dict[str, Counter[str]] = {}
    for kind, (write, _) in READERS.items():
        source, copy = write(folder / kind), folder / f"damaged.{kind}"
        outcomes[kind] = Counter()
        for seed in range(count):
            with contextlib.suppress(FileNotFoundError):
                copy.unlink()
            _write_damaged(source, copy, random.Random(f"{kind} {seed} of {count}"))
            outcomes[kind][_read_outcome(copy, kind)] += 1
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

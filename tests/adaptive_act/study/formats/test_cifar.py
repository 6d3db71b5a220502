import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptive_act.errors import DataError
from adaptive_act.study.formats import read_dataset
from adaptive_act.study.formats.cifar_pickle import MOST_MEMO

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
LABELS = [3, 9, 0, 3]


def binary(folder: Path) -> None:
    records = np.concatenate([np.array(LABELS, np.uint8)[:, None], PIXELS], axis=1).tobytes()
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        (folder / name).write_bytes(records)


def pickled(folder: Path) -> None:
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        batch = {
            b"batch_label": name.encode(),
            b"labels": LABELS,
            b"data": PIXELS,
            b"filenames": [b"a.png"] * 4,
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


@pytest.mark.parametrize("written", [binary, pickled])
def test_batches_are_joined_and_read_in_their_order(written: Callable[[Path], None], tmp_path: Path) -> None:
    written(tmp_path)
    found = read_dataset(str(tmp_path))
    assert found.train.samples.shape == (8, 3, 32, 32)
    assert np.array_equal(found.train.samples[1].reshape(-1), PIXELS[1])
    assert found.train.labels.tolist() == LABELS * 2
    assert found.test is not None
    assert found.classes[9] == "truck"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_every_pickle_protocol_is_read(protocol: int, tmp_path: Path) -> None:
    pickled(tmp_path)
    batch = {"labels": LABELS, "data": PIXELS}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(read_dataset(str(tmp_path)).train.samples[0].reshape(-1), PIXELS[0])


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def hostile_put() -> bytes:
    """A memo index for which the reader would allocate gigabytes."""
    return b"\x80\x02}r" + (MOST_MEMO + 1).to_bytes(4, "little") + b"."


HOSTILE = {
    "a command": pickle.dumps({"data": Command(), "labels": LABELS}, protocol=2),
    "a command as newer protocols write it": pickle.dumps(Command(), protocol=4),
    "a memo as large as memory": hostile_put(),
    "something outside": b"\x80\x02}X\x01\x00\x00\x00aQ.",
    "an object array": pickle.dumps({"data": np.array([{}], object), "labels": [0]}, protocol=2),
    "floats": pickle.dumps({"data": PIXELS.astype(float), "labels": LABELS}, protocol=2),
    "fewer pixels": pickle.dumps({"data": PIXELS[:, :3071], "labels": LABELS}, protocol=2),
    "no labels": pickle.dumps({"data": PIXELS}, protocol=2),
    "labels of another kind": pickle.dumps({"data": PIXELS, "labels": ["3"] * 4}, protocol=2),
    "a list": pickle.dumps([1], protocol=2),
    "nothing": b"",
    "text": b"<html>not found</html>",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_is_refused_and_runs_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickled(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(DataError, match="data_batch_1"):
        read_dataset(str(tmp_path))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a memo as large as memory", "LONG_BINPUT"),
        ("something outside", "BINPERSID"),
        ("a command", "posix.system"),
    ],
)
def test_it_is_refused_for_what_it_tries(name: str, words: str, tmp_path: Path) -> None:
    pickled(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match=words):
        read_dataset(str(tmp_path))


def test_the_hostile_pickle_would_have_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE["a command"])
    assert (tmp_path / "owned").exists()


def test_only_opcodes_of_plain_values_are_let_through() -> None:
    names = {opcode.name for opcode, _, _ in pickletools.genops(HOSTILE["a command"])}
    assert "REDUCE" in names  # so it is the name `os.system` that is refused, not the opcode


@pytest.mark.parametrize("size", [0, 3072, 3073 * 2 - 1])
def test_a_binary_batch_consists_of_whole_records(size: int, tmp_path: Path) -> None:
    binary(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\0" * size)
    with pytest.raises(DataError, match="whole records"):
        read_dataset(str(tmp_path))


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    binary(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\x0a" + b"\0" * 3072)
    with pytest.raises(DataError, match="labels below"):
        read_dataset(str(tmp_path))

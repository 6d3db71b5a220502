"""Files of safetensors, written by its own library."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convert.errors import SourceError, UsageError
from convert.sources.load import load
from tests.convert.sources import files

FACTORY = "tests.convert.sources.files:network"


def _write(path: Path) -> Path:
    save_file(files.network(5).state_dict(), path)
    return path


def test_its_tensors_are_the_models(tmp_path: Path) -> None:
    source = load(_write(tmp_path / "m.safetensors"), FACTORY, None, [files.ROWS])
    x = torch.randn(3, 4)
    torch.testing.assert_close(source.model(x), files.network(5)(x), rtol=0, atol=0)
    assert (source.kind, source.notes) == ("safetensors", ())


def test_it_needs_a_factory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not say what model it belongs to"):
        load(_write(tmp_path / "m.safetensors"))


def test_prefixes_are_removed(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in files.network().state_dict().items()}
    save_file(state, tmp_path / "m.safetensors")
    source = load(tmp_path / "m.safetensors", FACTORY, None, [files.ROWS])
    assert source.notes == ("`module.` removed from its names",)


@pytest.mark.parametrize("length", [0, 7, 9, 60, 200, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    content = _write(tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(content[:length])
    with pytest.raises(SourceError, match=r"truncated or damaged|is empty|not a file"):
        load(tmp_path / "m.safetensors", FACTORY, None, [files.ROWS])


@pytest.mark.parametrize("header", [2**24 + 1, 2**40, 2**63])
def test_a_header_beyond_the_file_takes_no_memory(tmp_path: Path, header: int) -> None:
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", header) + b'{"a":{}}')
    with pytest.raises(SourceError, match=rf"header should have {header} bytes, expected at most 8 in a"):
        load(tmp_path / "m.safetensors", FACTORY, None, [files.ROWS])


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**40]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "X32", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    ],
)
def test_tensors_that_do_not_fill_the_file_are_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(SourceError, match="truncated or damaged"):
        load(tmp_path / "m.safetensors", FACTORY, None, [files.ROWS])

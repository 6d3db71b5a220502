from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serve.engine.memory import amounts
from serve.engine.memory.amounts import (
    LEAST,
    MOST_GROWTH,
    MOST_MORE,
    ModelMemory,
    expect_memory,
    measure_memory,
    parse_size,
    read_resident,
)
from serve.engine.memory.options import MemoryOptions
from tests.serve import models
from tests.serve.engine.conftest import Opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GiB", 4 * 2**30),
        ("512 mib", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("100KB", 100_000),
        ("1TiB", 2**40),
        ("4Gi", 4 * 2**30),
        ("4G", 4 * 10**9),
        ("7 B", 7),
        ("1024", 1024),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "4 gibibytes", "-1GiB", "4TiB4", "GiB", "1e9", "9" * 40, "nan"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_what_is_shared_counts_once() -> None:
    assert expect_memory(100, is_shared=True).count(4) == 100 + 4 * LEAST
    assert expect_memory(100, is_shared=False).count(4) == 4 * (200 + LEAST)


@pytest.mark.parametrize(
    ("grown", "is_shared", "expected"),
    [
        (ModelMemory(0, 5 * LEAST), False, ModelMemory(0, 5 * LEAST)),
        (ModelMemory(0, 0), False, ModelMemory(0, LEAST)),
        (ModelMemory(0, 2**50), False, ModelMemory(0, MOST_GROWTH * 1000 + MOST_MORE)),
        (ModelMemory(-(2**20), -(2**20)), True, ModelMemory(500, LEAST)),
        (ModelMemory(900, 2 * LEAST), True, ModelMemory(900, 2 * LEAST)),
    ],
)
def test_what_another_load_took_meanwhile_is_left_out(
    monkeypatch: pytest.MonkeyPatch, grown: ModelMemory, is_shared: bool, expected: ModelMemory
) -> None:
    before = ModelMemory(2**30, 2**30)
    now = ModelMemory(before.shared + grown.shared, before.own + grown.own)
    monkeypatch.setattr(amounts, "read_resident", lambda: now)
    assert measure_memory(before, 1000, is_shared=is_shared) == expected


def test_the_system_says_what_a_process_has() -> None:
    before = read_resident()
    block = bytearray(b"x" * 2**25)
    assert read_resident().own - before.own > 2**24
    assert before.shared > 0
    del block


@pytest.mark.usefixtures("giving_back")
def test_weights_in_files_of_their_own_count_once(opened: Opened, tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", b"")
    made = models.model("m (float[N, 2048] x) => (float[N, 2048] y) { y = MatMul(x, w) }")
    made.graph.initializer.append(numpy_helper.from_array(np.ones((2048, 2048), np.float32), "w"))
    onnx.save_model(made, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    model = opened(memory=MemoryOptions(2**32)).model("m")
    assert 2**24 <= model.memory.own < 1.5 * 2**24

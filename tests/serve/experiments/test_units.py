import hmac
import logging
import multiprocessing
import stat
from pathlib import Path

import pytest

from serve.experiments.errors import StoreError
from serve.experiments.units import (
    KEY_FILE,
    MAX_UNIT_CHARACTERS,
    Unit,
    UnitKind,
    hash_unit,
    load_or_make_key,
    read_unit,
)

ALL: tuple[UnitKind, ...] = ("header", "parameter", "request")
KEY = bytes(range(32))


def test_sources_are_looked_at_in_order() -> None:
    assert read_unit(ALL, b"anna", "bert", "r1") == Unit("header", "anna")
    assert read_unit(("parameter", "header"), b"anna", "bert", "r1") == Unit("parameter", "bert")
    assert read_unit(ALL, None, "bert", "r1") == Unit("parameter", "bert")
    assert read_unit(ALL, None, None, "r1") == Unit("request", "r1")


def test_without_the_request_as_source_there_may_be_no_unit() -> None:
    assert read_unit(("header",), None, "bert", "r1") is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " \t\r\n",
        True,
        False,
        1.0,
        float("nan"),
        [],
        ["a"],
        {"a": 1},
        10**400,
        "x" * 10**6,
        object(),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_cannot_be_a_unit_counts_as_not_given(value: object) -> None:
    assert read_unit(ALL, None, value, "r1") == Unit("request", "r1")


@pytest.mark.parametrize("value", [b"", b"  ", b"x" * 2**20, b"\xff" * 2**20])
def test_a_header_that_cannot_be_a_unit_counts_as_not_given(value: bytes) -> None:
    assert read_unit(ALL, value, "bert", "r1") == Unit("parameter", "bert")


@pytest.mark.parametrize(
    ("header", "parameter"),
    [
        (b"42", 42),
        (b"-7", -7),
        (b" 42 ", "42"),
        ("café".encode(), "café"),
        ("café".encode("latin-1"), "café"),
        (b"a\x00b\x1b[2J", "a\x00b\x1b[2J"),
        (b"340282366920938463463374607431768211455", 2**128 - 1),
    ],
)
def test_header_and_parameter_name_the_same_unit(header: bytes, parameter: object) -> None:
    one, other = read_unit(ALL, header, None, "r"), read_unit(ALL, None, parameter, "r")
    assert one
    assert other
    assert one.value == other.value
    assert hash_unit(KEY, one) == hash_unit(KEY, other) == hash_unit(KEY, one.value)


def test_the_longest_unit_is_taken() -> None:
    longest = "ä" * MAX_UNIT_CHARACTERS
    assert read_unit(ALL, longest.encode(), None, "r") == Unit("header", longest)
    assert read_unit(ALL, (longest + "ä").encode(), None, "r") == Unit("request", "r")


def test_a_lone_surrogate_is_a_unit_like_any_other() -> None:
    unit = read_unit(ALL, None, "\ud800", "r")
    assert unit == Unit("parameter", "\ud800")
    assert len(hash_unit(KEY, unit)) == 16


def test_what_is_stored_is_a_keyed_digest() -> None:
    digest = hash_unit(KEY, Unit("header", "anna"))
    assert digest == hmac.new(KEY, b"anna", "sha256").digest()[:16]
    assert digest != hash_unit(bytes(32), Unit("header", "anna"))


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    key = load_or_make_key(folder)
    assert len(key) == 32
    assert load_or_make_key(folder) == key
    assert load_or_make_key(tmp_path) != key
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]


@pytest.mark.slow
def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(load_or_make_key, [tmp_path] * 16)
    assert len(set(keys)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"0" * 63, b"0" * 65, b"g" * 64, b"\x00" * 2**20, b"0" * 64 + b"\n\n"]
)
def test_a_damaged_key_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged: expected 64 hexadecimal digits; restore it"):
        load_or_make_key(tmp_path)
    assert path.read_bytes() == content


def test_a_key_that_others_can_read_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = load_or_make_key(tmp_path)
    assert not caplog.records
    (tmp_path / KEY_FILE).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert load_or_make_key(tmp_path) == key
    assert "chmod 600" in caplog.text


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be read or made: Not a directory"):
        load_or_make_key(tmp_path / "file" / "state")
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        load_or_make_key(tmp_path)

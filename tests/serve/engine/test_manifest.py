import pytest

from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.size_bounds import SizeBounds
from serve.engine import manifest
from serve.engine.manifest import read_class_names, read_manifest, read_size_bounds, read_strength


def test_the_manifest_is_the_json_object_in_the_metadata() -> None:
    assert read_manifest({MANIFEST_KEY: '{"format": 1}', "other": "x"}) == {"format": 1}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {MANIFEST_KEY: "not json"},
        {MANIFEST_KEY: "[1]"},
        {MANIFEST_KEY: ""},
        {MANIFEST_KEY: "[" * 100_000},
    ],
)
def test_without_a_readable_manifest_there_is_none(metadata: dict[str, str]) -> None:
    assert read_manifest(metadata) is None


def test_a_manifest_over_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", 10)
    assert read_manifest({MANIFEST_KEY: '{"a": 1}'}) == {"a": 1}
    assert read_manifest({MANIFEST_KEY: '{"a": 1234}'}) is None


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (None, []),
        ({}, []),
        ({"classes": None}, []),
        ({"classes": "ab"}, []),
        ({"classes": ["cat", 7]}, ["cat", "7"]),
    ],
)
def test_class_names_are_a_list_of_text(content: dict[str, manifest.Json] | None, names: list[str]) -> None:
    assert read_class_names(content) == names


@pytest.mark.parametrize(
    ("content", "strength"),
    [
        (None, None),
        ({}, "unknown"),
        ({"parity": []}, "unknown"),
        ({"parity": {"coverage": None}}, "unknown"),
        ({"parity": {"coverage": {"reasons": "none"}}}, "unknown"),
        ({"parity": {"coverage": {"reasons": []}}}, "strong"),
        ({"parity": {"coverage": {"reasons": ["a"]}}}, "weak"),
    ],
)
def test_a_reason_makes_parity_weak(content: dict[str, manifest.Json] | None, strength: str | None) -> None:
    assert read_strength(content) == strength


@pytest.mark.parametrize("content", [None, {}, {"sizes": None}, {"sizes": {"name": "T"}}, {"sizes": []}])
def test_without_sizes_there_are_no_bounds(content: dict[str, manifest.Json] | None) -> None:
    assert read_size_bounds(content) == {}


def test_bounds_that_are_none_are_left_out() -> None:
    entries: list[manifest.Json] = [
        {"name": "T", "low": 2, "high": 512, "multiple": 2},
        {"name": "N", "low": 1},
        {"name": "no sizes", "low": 9, "high": 3},
        {"name": 7, "low": 2},
        {"name": "text", "low": "2"},
        {"name": "flag", "low": True},
        {"name": "share", "high": 9.5},
        {"name": "none", "multiple": 0},
        {"low": 2},
        "T>=2",
        None,
    ]
    assert read_size_bounds({"sizes": entries}) == {"T": SizeBounds("T", 2, 512, 2), "N": SizeBounds("N", 1)}

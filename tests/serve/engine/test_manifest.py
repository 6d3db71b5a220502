import pytest

from convert.manifest import manifest as converter
from serve.engine import manifest
from serve.engine.manifest import KEY, class_names, read_manifest


def test_the_key_and_the_limit_are_the_converters() -> None:
    assert (manifest.KEY, manifest.LIMIT_CHARACTERS) == (
        converter.KEY,
        converter.LARGEST,
    )


def test_the_manifest_is_the_json_object_in_the_metadata() -> None:
    assert read_manifest({KEY: '{"format": 1}', "other": "x"}) == {"format": 1}


@pytest.mark.parametrize("metadata", [{}, {KEY: "not json"}, {KEY: "[1]"}, {KEY: ""}, {KEY: "[" * 100_000}])
def test_without_a_readable_manifest_there_is_none(metadata: dict[str, str]) -> None:
    assert read_manifest(metadata) is None


def test_a_manifest_over_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "LIMIT_CHARACTERS", 10)
    assert read_manifest({KEY: '{"a": 1}'}) == {"a": 1}
    assert read_manifest({KEY: '{"a": 1234}'}) is None


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (None, []),
        ({}, []),
        ({"classes": None}, []),
        ({"classes": "ab"}, []),
        ({"classes": ["cat", 7]}, ["cat", "7"]),
    ],
)
def test_class_names_are_a_list_of_text(found: dict[str, manifest.Json] | None, names: list[str]) -> None:
    assert class_names(found) == names

import json
from typing import Any

import pytest

from convert.manifest.decode import ManifestError
from convert.manifest.description import (
    Description,
    decode_description,
    describe_lengths,
    parse_description,
    parse_names,
)
from convert.manifest.preprocessing import IMAGENET

FULL = Description(("cat", "犬"), ("age", "city"), IMAGENET)


def test_what_is_written_is_read_again() -> None:
    assert parse_description(FULL.to_json()) == FULL
    assert parse_description(Description().to_json()) == Description()


def test_what_one_leaves_out_is_taken_of_the_other() -> None:
    assert Description(classes=("a",)).over(FULL) == Description(("a",), FULL.columns, IMAGENET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n\n", ("cat", "dog")),
        ("\ufeffcat\r\n  dog \r\n", ("cat", "dog")),
        ("crane\ncrane", ("crane", "crane")),
        ('["cat", "dog"]', ("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ('{"id2label": {"0": "cat"}, "model_type": "vit"}', ("cat",)),
        ("a\u2028b\nc", ("a\u2028b", "c")),
    ],
)
def test_names_are_read_from_lines_lists_and_mappings(text: str, expected: tuple[str, ...]) -> None:
    assert parse_names(text, "labels.txt") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`labels.txt\\[0\\]` is ``, expected a name"),
        ("cat\n\ndog", "`labels.txt\\[1\\]` is ``, expected a name"),
        ("[1, 2]", "`labels.txt\\[0\\]` is `1`, expected a name"),
        ("[cat]", "begins as JSON does"),
        ('{"1": "dog"}', "has no name for 0"),
        ('{"0": "dog", "2": "cat"}', "has no name for 1"),
        ("[" * 100_000, "begins as JSON does"),
        ("[]", "expected a list of names"),
        ("a" * 2000, "expected a name"),
    ],
)
def test_other_files_hold_no_names(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_names(text, "labels.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": ["a"]}, "unknown key `labels`"),
        ({"classes": "cat"}, "expected a list of names"),
        ({"columns": ["a", "a"]}, "`a` twice"),
        ({"preprocessing": {"resize": -1}}, "from 1 to"),
    ],
)
def test_other_descriptions_are_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        decode_description(content)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "adaptact-description/2"}', "[" * 100_000])
def test_other_texts_are_no_description(text: str) -> None:
    with pytest.raises(ManifestError, match="the description"):
        parse_description(text)


def test_unknown_keys_of_the_entry_are_refused() -> None:
    with pytest.raises(ManifestError, match="unknown key `rotate`"):
        parse_description(json.dumps({"format": "adaptact-description/1", "rotate": 1}))


def test_classes_that_are_not_as_many_as_the_outputs_are_named() -> None:
    assert describe_lengths(FULL, ("N", 2)) is None
    assert describe_lengths(FULL, ("N", "classes")) is None
    assert describe_lengths(FULL, ("N", 3)) == "2 classes, and the output has 3 numbers a row"

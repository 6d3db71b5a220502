import json
import re
from typing import Any

import pytest

from convert.manifest.decode import ManifestError
from convert.manifest.description import (
    Description,
    Shape,
    decode_description,
    describe_lengths,
    find_misfit,
    parse_description,
    parse_names,
)
from convert.manifest.preprocessing import IMAGENET, Preprocessing

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


def test_classes_that_are_not_as_many_as_an_output_has_are_named() -> None:
    assert describe_lengths(FULL, ("N", 2)) is None
    assert describe_lengths(FULL, ("N", "classes")) is None
    assert describe_lengths(FULL, ("N", 3)) == "2 classes, and the output has 3 numbers a row"


IMAGE: Shape = ("image", ("N", 3, 224, 224))
SCORES: Shape = ("logits", ("N", 2))


@pytest.mark.parametrize(
    ("description", "inputs", "outputs"),
    [
        (Description(("a", "b")), [IMAGE], [SCORES]),
        (Description(("a", "b", "c")), [IMAGE], [("logits", ("N", "classes"))]),
        (Description(("a", "b")), [IMAGE], [("boxes", ("N", 4)), SCORES]),
        (Description(columns=("a", "b")), [("x", ("N", 2))], [SCORES]),
        (Description(preprocessing=IMAGENET), [IMAGE], [SCORES]),
        (Description(preprocessing=IMAGENET), [("x", ("N", 3, "H", None))], [SCORES]),
        (Description(preprocessing=IMAGENET), [("x", ("N", 224, 224, 3))], [SCORES]),
        (Description(preprocessing=Preprocessing(color="L", scale=1.0)), [("x", ("N", 64))], [SCORES]),
        (Description(preprocessing=Preprocessing()), [("x", (1, 1, 8, 8))], [SCORES]),
    ],
)
def test_a_description_that_may_be_the_models_fits(
    description: Description, inputs: list[Shape], outputs: list[Shape]
) -> None:
    assert find_misfit(description, inputs, outputs) is None


@pytest.mark.parametrize(
    ("description", "inputs", "reason"),
    [
        (
            Description(("a", "b", "c")),
            [IMAGE],
            r"3 classes are named, and the model has `logits` \['N', 2\]",
        ),
        (Description(columns=("a",)), [("x", ("N", 2))], "1 columns are named, and the input `x` has 2"),
        (Description(columns=("a",)), [IMAGE], "columns are those of one input"),
        (Description(preprocessing=IMAGENET), [("x", (1, 1, 224, 224))], "images in RGB"),
        (
            Description(preprocessing=Preprocessing(layout="NHWC")),
            [("x", ("N", 3, 48, 48))],
            "images in one or three channels, NHWC, are described",
        ),
        (Description(preprocessing=IMAGENET), [("x", (1, 3, 32, 32))], r"images of \[224, 224\] pixels"),
        (Description(preprocessing=Preprocessing(resize=(8, 9))), [("x", (1, 3, 9, 8))], r"\[8, 9\] pixels"),
        (Description(preprocessing=Preprocessing(resize=8)), [("x", (1, 3, 8, 8))], "without `crop`"),
        (
            Description(preprocessing=Preprocessing(color="L", layout="NCHW")),
            [("x", (1, 8, 8, 1))],
            "images in L",
        ),
    ],
)
def test_a_description_of_another_model_is_named(
    description: Description, inputs: list[Shape], reason: str
) -> None:
    misfit = find_misfit(description, inputs, [SCORES])
    assert misfit is not None
    assert re.search(reason, misfit)

"""What a served model knows about itself besides the graph. Standard library only.

JSON under DESCRIPTION_KEY in the model's `metadata_props`; a server's `config.toml` has the same keys. A key
found there goes before that of the file's own entry, and this before the manifest's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from convert.manifest.decode import ManifestError
from convert.manifest.entries import LARGEST_DESCRIPTION
from convert.manifest.preprocessing import Preprocessing, decode_preprocessing

FORMAT = "adaptact-description/1"
MOST_NAMES = 1_000_000
LONGEST_NAME = 1_000  # characters

Shape: TypeAlias = tuple[str, Sequence[int | str | None]]
"""An input or output: its name, and its sizes, each a number or free."""


@dataclass(frozen=True, slots=True)
class Description:
    """Each of its parts is None where it is not stated."""

    classes: tuple[str, ...] | None = None
    """In the order of the first output's last axis."""
    columns: tuple[str, ...] | None = None
    """Of a model with one input of rows, in the input's order."""
    preprocessing: Preprocessing | None = None
    """Of images."""

    def over(self, other: Self) -> "Description":
        """This description, and of the other one what it leaves out."""
        return Description(
            self.classes if self.classes is not None else other.classes,
            self.columns if self.columns is not None else other.columns,
            self.preprocessing if self.preprocessing is not None else other.preprocessing,
        )

    def to_json(self) -> str:
        """The text that `parse_description` reads; the same for the same description."""
        content: dict[str, Any] = {"format": FORMAT}
        if self.classes is not None:
            content["classes"] = self.classes
        if self.columns is not None:
            content["columns"] = self.columns
        if self.preprocessing is not None:
            content["preprocessing"] = self.preprocessing.to_json()
        return json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False)


def parse_description(text: str) -> Description:
    """The description in the entry's text. Raises ManifestError where there is none that is read here."""
    if len(text) > LARGEST_DESCRIPTION:
        raise ManifestError(
            f"the description has {len(text)} characters, expected at most {LARGEST_DESCRIPTION}"
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the description is not JSON: {error}") from error
    format_ = content.get("format") if isinstance(content, dict) else None
    if format_ != FORMAT:
        raise ManifestError(f"the description's format is `{str(format_)[:40]}`, expected `{FORMAT}`")
    return decode_description({key: value for key, value in content.items() if key != "format"})


def decode_description(content: Mapping[str, object]) -> Description:
    """The description that the mapping holds, each of its keys optional.

    Raises ManifestError for an unknown key, and for a value that is none of its key's.
    """
    unknown = next((key for key in content if key not in Description.__dataclass_fields__), None)
    if unknown is not None:
        known = ", ".join(Description.__dataclass_fields__)
        raise ManifestError(
            f"the description has the unknown key `{unknown[:40]}`, expected some of: {known}"
        )
    given = {key: value for key, value in content.items() if value is not None}
    return Description(
        check_names(given["classes"], "classes") if "classes" in given else None,
        check_columns(given["columns"]) if "columns" in given else None,
        decode_preprocessing(given["preprocessing"]) if "preprocessing" in given else None,
    )


def check_columns(value: object) -> tuple[str, ...]:
    """The names of columns; raises ManifestError where one is there twice."""
    names = check_names(value, "columns")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ManifestError(f"`columns` has `{name}` twice, expected each name once")
        seen.add(name)
    return names


def check_names(value: object, where: str) -> tuple[str, ...]:
    """The names in the list; raises ManifestError where it is none, or one of them is empty or no text.

    Two classes may have one name: of ImageNet's, two are `crane`.
    """
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_NAMES:
        raise ManifestError(f"`{where}` is `{str(value)[:40]}`, expected a list of names")
    for place, name in enumerate(value):
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
            raise ManifestError(f"`{where}[{place}]` is `{str(name)[:40]}`, expected a name")
    return tuple(value)


def parse_names(text: str, where: str) -> tuple[str, ...]:
    """The names in the text: one a line, a JSON list, or a JSON object from places to names (`id2label`).

    Empty lines at the end are left out. Raises ManifestError where one is between names, or a place missing.
    """
    text = text.removeprefix("\ufeff").strip("\r\n")
    if text.lstrip()[:1] not in ("[", "{"):
        return check_names([line.strip() for line in text.replace("\r\n", "\n").split("\n")], where)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"`{where}` begins as JSON does, and is none: {error}") from error
    if isinstance(content, dict):
        return order_names(content.get("id2label", content), where)
    return check_names(content, where)


def order_names(content: object, where: str) -> tuple[str, ...]:
    """The names of a mapping from each place, 0 and up, to its name. Raises ManifestError where one lacks."""
    if not isinstance(content, Mapping):
        raise ManifestError(f"`{where}` is `{str(content)[:40]}`, expected places and their names")
    names = {str(place): name for place, name in content.items()}
    missing = next((place for place in range(len(names)) if str(place) not in names), None)
    if missing is not None or len(names) != len(content):
        raise ManifestError(f"`{where}` has no name for {missing}, expected one for each place from 0 on")
    return check_names([names[str(place)] for place in range(len(names))], where)


def describe_lengths(description: Description, sizes: Sequence[int | str | None]) -> str | None:
    """Why the classes do not fit an output of this shape; None where they may."""
    classes = description.classes
    last = sizes[-1] if sizes else None
    if classes is None or not isinstance(last, int) or len(classes) == last:
        return None
    return f"{len(classes)} classes, and the output has {last} numbers a row"


def find_misfit(description: Description, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> str | None:
    """Why the description is not one of a model with these inputs and outputs; None where it may be.

    A size that is no number may be anything. Classes are those of any one output.
    """
    lengths = [shape[-1] for _, shape in outputs if shape]
    known = [length for length in lengths if isinstance(length, int)]
    if (
        description.classes is not None
        and len(known) == len(lengths)
        and len(description.classes) not in known
    ):
        return f"{len(description.classes)} classes are named, and the model has {_show(outputs)} as output"
    if description.columns is not None:
        return _find_columns_misfit(description.columns, inputs)
    if description.preprocessing is not None:
        return _find_images_misfit(description.preprocessing, inputs)
    return None


def _find_columns_misfit(columns: Sequence[str], inputs: Sequence[Shape]) -> str | None:
    name, shape = inputs[0] if inputs else ("", ())
    if len(inputs) != 1 or len(shape) != 2:
        return f"columns are those of one input [N, columns], and the model has {_show(inputs)}"
    if isinstance(shape[1], int) and shape[1] != len(columns):
        return f"{len(columns)} columns are named, and the input `{name}` has {shape[1]}"
    return None


def _find_images_misfit(preprocessing: Preprocessing, inputs: Sequence[Shape]) -> str | None:
    """Why no input takes such images."""
    images = [(name, shape) for name, shape in inputs if len(shape) == 4]
    if not images:  # rows of pixels, as of digits
        return None
    reasons = [_find_image_misfit(preprocessing, name, shape) for name, shape in images]
    return None if None in reasons else reasons[0]


def _find_image_misfit(
    preprocessing: Preprocessing, name: str, shape: Sequence[int | str | None]
) -> str | None:
    channels = {"L": (1,), None: (1, 3)}.get(preprocessing.color, (3,))
    last = preprocessing.layout == "NHWC" or (preprocessing.layout is None and shape[1] not in (1, 3))
    count, height, width = (shape[3], *shape[1:3]) if last else (shape[1], *shape[2:])
    if isinstance(count, int) and count not in channels:
        described = preprocessing.color or "one or three channels"
        layout = "NHWC" if last else "NCHW"
        return f"images in {described}, {layout}, are described, and the input `{name}` has {list(shape)}"
    sides = preprocessing.crop or preprocessing.resize
    wanted = [side for side in (height, width) if isinstance(side, int)]
    if isinstance(sides, int) and wanted:
        return f"`resize` gives images of any shape without `crop`, and the input `{name}` has {list(shape)}"
    if isinstance(sides, tuple) and any(
        isinstance(free, int) and free != side for side, free in zip(sides, (height, width), strict=True)
    ):
        return f"images of {list(sides)} pixels are described, and the input `{name}` has {list(shape)}"
    return None


def _show(shapes: Sequence[Shape]) -> str:
    return ", ".join(f"`{name}` {list(shape)}" for name, shape in shapes)

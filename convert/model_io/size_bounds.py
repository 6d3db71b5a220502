"""The bounds of free sizes, as they are written in an input."""

import re
from collections.abc import Iterable

from convert.errors import UsageError
from convert.manifest.size_bounds import SizeBounds

LONGEST_NAME = 128
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[0-9]{1,10}"
_CONDITION = re.compile(
    rf"(?:(?P<low>{_NUMBER})<=)?(?P<name>{_NAME})"
    rf"(?:>=(?P<least>{_NUMBER})|<=(?P<high>{_NUMBER})|%(?P<multiple>{_NUMBER})==0)?"
)
_AND = re.compile(r"\s+and\s+")


def parse_size_bounds(text: str) -> SizeBounds | None:
    """The bounds in `T`, `T>=2`, `2<=T<=512`, `T%8==0`, or several joined by `and`; None for another text.

    Raises UsageError where no two sizes are left.
    """
    parts = [_CONDITION.fullmatch(part.replace(" ", "")) for part in _AND.split(text.strip())]
    matches = [match for match in parts if match is not None]
    if len(matches) < len(parts) or len({match["name"] for match in matches}) != 1:
        return None
    if len(matches[0]["name"]) > LONGEST_NAME:
        return None
    return intersect_all(map(_read_condition, matches))


def intersect_all(bounds: Iterable[SizeBounds]) -> SizeBounds:
    """The bounds that allow what all of them allow; there is at least one. Raises UsageError as above."""
    try:
        first, *others = bounds
        for other in others:
            first = first.intersect(other)
    except ValueError as error:
        raise UsageError(str(error), hint="give a size that does not vary as a number") from error
    return first


def _read_condition(match: re.Match[str]) -> SizeBounds:
    return SizeBounds(
        match["name"],
        int(match["low"] or match["least"] or 0),
        int(match["high"]) if match["high"] else None,
        int(match["multiple"] or 1),
    )

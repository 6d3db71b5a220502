"""The sizes that a free size may take: at least, at most, and multiples of a number."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import lcm

from convert.errors import UsageError

LARGEST_SIZE = 2**31 - 1
LONGEST_NAME = 128
FREE_SIZE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[0-9]{1,10}"
_CONDITION = re.compile(
    rf"(?:(?P<low>{_NUMBER})<=)?(?P<name>{FREE_SIZE_NAME})"
    rf"(?:>=(?P<least>{_NUMBER})|<=(?P<high>{_NUMBER})|%(?P<multiple>{_NUMBER})==0)?"
)
_AND = re.compile(r"\s+and\s+")


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """A free size of this name is a multiple of `multiple` from `low` to `high`; no high bound where None."""

    name: str
    low: int = 0
    high: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        limits = (self.low, self.multiple, self.low if self.high is None else self.high)
        if self.multiple < 1 or min(limits) < 0 or max(limits) > LARGEST_SIZE or not self._varies():
            raise UsageError(
                f"size `{self.text}` leaves no two sizes, one of them from 2 to {LARGEST_SIZE}",
                hint="give a size that does not vary as a number",
            )

    def _varies(self) -> bool:
        traced = self.fit(2)
        return traced >= 2 and self.allow(traced) and not self.fit(1) == traced == self.fit(traced + 1)

    @property
    def text(self) -> str:
        """The bounds as they are written in an input: `2<=T<=512 and T%8==0`."""
        multiple = [f"{self.name}%{self.multiple}==0"] if self.multiple > 1 else []
        if self.high is None:
            bounds = [f"{self.name}>={self.low}"] if self.low else []
        else:
            bounds = [f"{self.low}<={self.name}<={self.high}" if self.low else f"{self.name}<={self.high}"]
        return " and ".join([*bounds, *multiple]) or self.name

    @property
    def is_limiting(self) -> bool:
        """Whether any size is left out."""
        return self.low > 0 or self.high is not None or self.multiple > 1

    def allow(self, size: int) -> bool:
        """Whether the size may be taken."""
        fits = self.low <= size and (self.high is None or size <= self.high)
        return fits and size % self.multiple == 0

    def fit(self, size: int) -> int:
        """The smallest allowed size from `size` on, else the largest below it."""
        step = self.multiple
        above = -(-max(size, self.low) // step) * step
        return above if self.high is None or above <= self.high else self.high // step * step

    def intersect(self, other: "SizeBounds") -> "SizeBounds":
        """The bounds that allow what both allow. Raises UsageError where that is hardly a size."""
        highs = [bounds.high for bounds in (self, other) if bounds.high is not None]
        return SizeBounds(
            self.name,
            max(self.low, other.low),
            min(highs, default=None),
            lcm(self.multiple, other.multiple),
        )


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
    return intersect_all(_read_condition(match) for match in matches)


def intersect_all(bounds: Iterable[SizeBounds]) -> SizeBounds:
    """The bounds that allow what all of them allow; there is at least one."""
    first, *others = bounds
    for other in others:
        first = first.intersect(other)
    return first


def _read_condition(match: re.Match[str]) -> SizeBounds:
    return SizeBounds(
        match["name"],
        int(match["low"] or match["least"] or 0),
        int(match["high"]) if match["high"] else None,
        int(match["multiple"] or 1),
    )

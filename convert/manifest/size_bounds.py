"""The bounds of a free size: at least, at most, and multiples of a number. Standard library only."""

from dataclasses import dataclass
from math import lcm

LARGEST_SIZE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """A free size of this name is a multiple of `multiple` from `low` to `high`; no high bound where None.

    Raises ValueError where that leaves no two sizes, one of them 2 or more.
    """

    name: str
    low: int = 0
    high: int | None = None
    multiple: int = 1

    def __post_init__(self) -> None:
        limits = (self.low, self.multiple, self.low if self.high is None else self.high)
        if self.multiple < 1 or min(limits) < 0 or max(limits) > LARGEST_SIZE or not self._varies():
            raise ValueError(f"size `{self.text}` leaves no two sizes, one of them from 2 to {LARGEST_SIZE}")

    def _varies(self) -> bool:
        some = self.fit(2)
        return some >= 2 and self.allow(some) and not self.fit(1) == some == self.fit(some + 1)

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
        """The bounds that allow what both allow. Raises ValueError where that is hardly a size."""
        highs = [bounds.high for bounds in (self, other) if bounds.high is not None]
        return SizeBounds(
            self.name,
            max(self.low, other.low),
            min(highs, default=None),
            lcm(self.multiple, other.multiple),
        )

"""How much less often a file is right than its original on the same labelled samples, and how sure it is."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from adaptive_act.explain.intervals import Interval, newcombe_interval
from convert.errors import UsageError
from convert.model_io.samples import SampleSet

LEAST_REACH = 1.96
"""What the interval of an unchanged accuracy reaches at least, in samples: that of one half."""
MOST_SAMPLES = 10_000_000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of the labelled samples the original and the file get right.

    `lost` are those that only the original gets right, `gained` those that only the file does.
    """

    output: str
    samples: int
    original: int
    file: int
    lost: int
    gained: int

    @property
    def drop(self) -> float:
        """The original's share of right samples less the file's."""
        return (self.original - self.file) / self.samples

    @property
    def interval(self) -> Interval:
        """The drop with its 95 % interval, which has a width where nothing changed too."""
        both, wrong = self.original - self.lost, self.samples - self.original - self.gained
        change = newcombe_interval(self.gained, self.lost, both, wrong)
        return Interval(-change.value, -change.high, -change.low)

    def find_overspent(self, limit: float, *, proves: bool) -> str | None:
        """The reason why the drop is not within the limit, or, if it `proves`, not surely so; else None."""
        interval = self.interval
        if self.drop <= limit and not (proves and interval.high > limit):
            return None
        text = (
            f"accuracy of `{self.output}` drops by {self.drop:.2%} "
            f"({interval.low:.2%} to {interval.high:.2%}), from {self.original} to {self.file} right of "
            f"{self.samples}, allowed {limit:.2%} (--max-accuracy-drop)"
        )
        if self.drop > limit:
            return text
        needed = self._count_needed(limit)
        enough = "no number of samples would do" if needed is None else f"some {needed:,} samples would do"
        return f"{text}: {self.samples} labelled samples are too few to tell, {enough}"

    def _count_needed(self, limit: float) -> int | None:
        """The samples with which the interval would be within the limit if as many of them changed."""
        factor = 1.0
        while self.samples * factor < MOST_SAMPLES:
            factor *= 1.1
            counts = (self.original, self.file, self.lost, self.gained)
            original, file, lost, gained = (round(count * factor) for count in counts)
            more = replace(
                self,
                samples=max(round(self.samples * factor), original + gained),
                original=original,
                file=file,
                lost=lost,
                gained=gained,
            )
            if more.interval.high <= limit:
                return more.samples
        return None


def require_enough(samples: int, limit: float) -> None:
    """Raises UsageError where so many samples cannot show that a drop is within the limit."""
    if not limit:
        raise UsageError(
            "`--max-accuracy-drop 0` cannot be shown: no number of samples tells 0 from a little",
            hint="allow a share: --max-accuracy-drop 0.005",
        )
    if LEAST_REACH / samples > limit:
        raise UsageError(
            f"{samples} labelled samples are too few to tell a drop of {limit:.2%}, expected at least "
            f"{ceil(LEAST_REACH / limit):,}",
            hint="give more samples, or allow more by --max-accuracy-drop",
        )


def require_apart(labelled: Sequence[SampleSet], calibration: Sequence[SampleSet]) -> None:
    """Raises UsageError where labelled samples are calibration data too, on which a file loses less."""
    known = {digest for samples in calibration for digest in _digest_samples(samples)}
    shared = sum(digest in known for samples in labelled for digest in _digest_samples(samples))
    if shared:
        raise UsageError(
            f"{shared} labelled samples are in the calibration data too, on which a file loses less",
            hint="take them out of one of the two files",
        )


def _digest_samples(samples: SampleSet) -> list[bytes]:
    count = samples.arrays[0].shape[0] if samples.arrays[0].ndim else 0
    rows = (
        b"".join((array[place] if array.ndim else array).tobytes() for array in samples.arrays)
        for place in range(count)
    )
    return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]

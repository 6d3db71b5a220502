"""The whole numbers that a model takes at an input without a bound, found by trying.

A table that is indexed refuses numbers beyond its length; what it takes is then the whole range. A number may
also be a size, which costs memory: the search stops where the model's tensors grow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from convert.errors import ExportError
from convert.graph.dependence import sets_sizes
from convert.model_io.array import Array
from convert.model_io.patterns import IntegerRange, choose_ranges
from convert.model_io.samples import make_example
from convert.parity.verify import Original
from convert.parity.workload import NUMBERS, OPERATIONS, SizeCounter, Work
from convert.sources.source import Source

STEP = 16  # from one number that is tried to the next
TRIES = 64  # about as many as a search takes
GROWTH = 2  # of the model's tensors, at which a number is taken for a size


def find_ranges(original: Original, source: Source, work: Work) -> dict[str, IntegerRange]:
    """The range of each input of whole numbers: as described, else as far as the model is found to take it.

    Where the search would be too much, by the work of one sample, or might take the memory of a size, the
    range stays 0 to 1. Raises ExportError where the model cannot be run on typical samples.
    """
    ranges = choose_ranges(source.inputs)
    unknown = [place for place, spec in enumerate(source.inputs) if not _is_whole(ranges.get(spec.name))]
    if not unknown or work.operations * TRIES > OPERATIONS:
        return ranges
    arrays = make_example(source.inputs, 1)
    for place in unknown:
        if source.graph is None or not sets_sizes(source.graph.graph, source.graph.graph.inputs[place]):
            ranges[source.inputs[place].name] = _RangeSearch(original, arrays, place).find()
    return ranges


def _is_whole(integers: IntegerRange | None) -> bool:
    return integers is None or integers.is_whole


class _Answer(Enum):
    TAKEN = "the model runs"
    REFUSED = "it raises an error"
    GROWS = "it runs, and its tensors grow with the number"


@dataclass(frozen=True, slots=True)
class _End:
    """The last number that the model takes in one direction."""

    number: int
    is_last: bool
    """Whether the model refuses the next; False at the end of the type, and where its tensors grew."""
    is_known: bool
    """False where its tensors grew: it may take more."""


class _RangeSearch:
    """Tries numbers at one input, beside typical ones at the others."""

    def __init__(self, original: Original, arrays: Sequence[Array], place: int) -> None:
        self._original, self._arrays, self._place = original, list(arrays), place
        with SizeCounter() as sizes:
            original.run_float32(self._arrays)
        self._sizes = sizes

    def find(self) -> IntegerRange:
        limits = np.iinfo(self._arrays[self._place].dtype)
        above, below = self._climb(1, int(limits.max)), self._climb(0, int(limits.min))
        return IntegerRange(
            least=below.number,
            most=above.number,
            typical=(below.number if below.is_last else 0, above.number if above.is_last else 1),
            is_whole=above.is_known and below.is_known,
        )

    def _climb(self, start: int, limit: int) -> _End:
        """The end of the range from `start`, which the model takes, towards `limit`."""
        taken = start
        for number in _list_steps(limit):
            answer = self._try(number)
            if answer is _Answer.REFUSED:
                return _End(self._bisect(taken, number), is_last=True, is_known=True)
            if answer is _Answer.GROWS:
                return _End(taken, is_last=False, is_known=False)
            taken = number
        return _End(taken, is_last=False, is_known=True)

    def _bisect(self, taken: int, refused: int) -> int:
        while abs(refused - taken) > 1:
            middle = (taken + refused) // 2
            if self._try(middle) is _Answer.TAKEN:
                taken = middle
            else:
                refused = middle
        return taken

    def _try(self, number: int) -> _Answer:
        arrays = list(self._arrays)
        arrays[self._place] = np.full_like(arrays[self._place], number)
        try:
            with SizeCounter() as sizes:
                self._original.run_float32(arrays)
        except ExportError:
            return _Answer.REFUSED
        largest = max(self._sizes.largest * GROWTH, STEP)
        if sizes.numbers > self._sizes.numbers * GROWTH or sizes.largest > min(largest, NUMBERS):
            return _Answer.GROWS
        return _Answer.TAKEN


def _list_steps(limit: int) -> Iterator[int]:
    """Numbers towards `limit`, each STEP times the one before, and `limit` itself."""
    sign, number = (1 if limit > 0 else -1), 1
    yield from (-1,) if limit < 0 else ()
    while (number := number * STEP) < abs(limit):
        yield sign * number
    yield limit

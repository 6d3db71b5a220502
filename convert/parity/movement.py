"""Which inputs move which outputs: each input is given other numbers while the others stay."""

from collections.abc import Iterator, Sequence

from convert.errors import ExportError
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.parity.effects import Effects
from convert.parity.unseen import Budget
from convert.parity.verify import Original

MOST_TRIED = 8  # other arrays for one input
BASES = 3
"""Of the sets: where an index or a place to look at lies outside, the other inputs move nothing."""


def find_movements(
    original: Original, names: Sequence[str], sets: Sequence[SampleSet], effects: Effects, budget: Budget
) -> frozenset[tuple[str, str]]:
    """The pairs of an input and an output that it moves on the first sets; `names` are the inputs'."""
    moved: set[tuple[str, str]] = set()
    for place, name in enumerate(names):
        for base, other in _list_others(sets, place):
            still = [output for output in effects.outputs if (name, output) not in moved]
            if not still or not budget.spend(base):
                break
            arrays = (*base.arrays[:place], other, *base.arrays[place + 1 :])
            moved |= {(name, output) for output in _try(original, base, arrays, effects)}
    return frozenset(moved)


def _list_others(sets: Sequence[SampleSet], place: int) -> Iterator[tuple[SampleSet, Array]]:
    """Each of the first sets with other arrays for the input, the first MOST_TRIED that fit."""
    for base in sets[:BASES]:
        yield from ((base, array) for array in _list_fitting(sets, base, place))


def _list_fitting(sets: Sequence[SampleSet], base: SampleSet, place: int) -> list[Array]:
    own = base.arrays[place]
    arrays = (samples.arrays[place] for samples in sets if samples is not base)
    parts = [array[: own.shape[0]] if own.ndim else array for array in arrays]
    fitting = [array for array in parts if array.shape == own.shape and (array != own).any()]
    return fitting[:MOST_TRIED]


def _try(original: Original, base: SampleSet, arrays: Sequence[Array], effects: Effects) -> set[str]:
    try:
        return effects.list_moved(base, original.run_float32(arrays))
    except ExportError:  # these numbers do not go with the others
        return set()

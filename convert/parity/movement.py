"""Which inputs move which outputs: each input is given other numbers while the others stay."""

from collections.abc import Iterator, Sequence

from convert.errors import ExportError
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.parity.effects import Effects
from convert.parity.unseen import Budget
from convert.parity.verify import Original

MOST_TRIED = 8  # other arrays for one input


def find_movements(
    original: Original, names: Sequence[str], sets: Sequence[SampleSet], effects: Effects, budget: Budget
) -> frozenset[tuple[str, str]]:
    """The pairs of an input and an output that it moves, on the first set; `names` are the inputs'."""
    base = sets[0]
    moved: set[tuple[str, str]] = set()
    for place, name in enumerate(names):
        for other in _list_others(sets, place):
            still = [output for output in effects.outputs if (name, output) not in moved]
            if not still or not budget.spend(base):
                break
            arrays = (*base.arrays[:place], other, *base.arrays[place + 1 :])
            moved |= {(name, output) for output in _try(original, base, arrays, effects)}
    return frozenset(moved)


def _list_others(sets: Sequence[SampleSet], place: int) -> Iterator[Array]:
    """Other arrays for the input, the first MOST_TRIED that fit."""
    own = sets[0].arrays[place]
    arrays = (samples.arrays[place] for samples in sets[1:])
    parts = [array[: own.shape[0]] if own.ndim else array for array in arrays]
    fitting = [array for array in parts if array.shape == own.shape and (array != own).any()]
    yield from fitting[:MOST_TRIED]


def _try(original: Original, base: SampleSet, arrays: Sequence[Array], effects: Effects) -> set[str]:
    try:
        return effects.list_moved(base, original.run_float32(arrays))
    except ExportError:  # these numbers do not go with the others
        return set()

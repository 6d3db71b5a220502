"""The weights whose change no sample shows.

One backward pass finds nearly all that show; those that it leaves in doubt are changed one by one. The others
are changed together: where that moves no output, none of them shows; else each half is tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from convert.errors import ExportError
from convert.model_io.samples import SampleSet
from convert.parity.effects import Effects
from convert.parity.gradient import find_moving
from convert.parity.verify import Original
from convert.parity.weights import ModuleWeights, Weights


@dataclass(slots=True)
class Budget:
    """The operations that are left; a run that they do not cover is not made."""

    left: float
    of_a_sample: float

    def count_runs(self, samples: SampleSet) -> int:
        """How many runs of these samples are covered."""
        return int(self.left / self._cost(samples))

    def spend(self, samples: SampleSet) -> bool:
        """Whether a run of these samples is covered; it is then paid for."""
        cost = self._cost(samples)
        if cost > self.left:
            return False
        self.left -= cost
        return True

    def _cost(self, samples: SampleSet) -> float:
        return max(self.of_a_sample, 1.0) * (samples.arrays[0].shape[0] if samples.arrays[0].ndim else 1)


@dataclass(frozen=True, slots=True)
class UnseenWeights:
    """The weights that were tried, and those of them whose change moves no output in any set."""

    tried: tuple[str, ...]
    unseen: tuple[str, ...]
    unread: frozenset[str]
    """Those of the unseen that the model did not read either: such as a head that is not used."""


def find_unseen(
    original: Original, weights: Weights, sets: Sequence[SampleSet], effects: Effects, budget: Budget
) -> UnseenWeights:
    """The weights whose change shows in none of these sets, the first of which is the smallest.

    Where a run for each weight is needed and the budget does not cover them all, some are tried, evenly.
    """
    search = _WeightSearch(weights, sets, effects, budget)
    moving = search.differentiate(original)
    tried = search.choose(weights.names) if moving is None else weights.names
    shown = search.try_alone(tried) if moving is None else search.confirm(moving)
    left = [name for name in tried if name not in shown]
    shown |= search.find_shown(left)
    unseen = tuple(name for name in left if name not in shown)
    return UnseenWeights(tried, unseen, _find_unread(original, weights, unseen, sets[0]))


@dataclass(frozen=True, slots=True)
class _WeightSearch:
    weights: Weights
    sets: Sequence[SampleSet]
    effects: Effects
    budget: Budget

    def differentiate(self, original: Original) -> dict[str, bool] | None:
        """As `find_moving`, on the first set; None where the weights have no gradient."""
        if not isinstance(self.weights, ModuleWeights):
            return None
        first = self.sets[0]
        allowed = {output: self.effects.measure_allowance(first, output) for output in original.outputs}
        return find_moving(original, self.weights, first, allowed)

    def confirm(self, moving: Mapping[str, bool]) -> set[str]:
        """Those that certainly move an output, and those of the others that do so alone on the first set."""
        certain = {name for name, is_certain in moving.items() if is_certain}
        return certain | self.try_alone([name for name in moving if name not in certain])

    def try_alone(self, names: Sequence[str]) -> set[str]:
        """Those whose change shows on the first set."""
        return {name for name in names if self.shows_on(self.sets[0], (name,))}

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """All names where half of the budget covers a run for each, else some, evenly spread."""
        runs = self.budget.count_runs(self.sets[0]) // 2
        return tuple(names[:: -(-len(names) // runs)]) if runs and names else ()

    def shows_on(self, samples: SampleSet, group: Sequence[str]) -> bool:
        """Whether an output moves on these samples; False where the budget is spent."""
        if not self.budget.spend(samples):
            return False
        try:
            return bool(self.effects.list_moved(samples, self.weights.run(samples.arrays, group)))
        except ExportError:  # the change makes the model fail, which is seen
            return True

    def find_shown(self, group: Sequence[str]) -> set[str]:
        """Those of the group whose change alone shows in a set, as far as the budget reaches."""
        if not group or not any(self.shows_on(samples, group) for samples in self.sets):
            return set()
        if len(group) == 1:
            return set(group)
        middle = len(group) // 2
        return self.find_shown(group[:middle]) | self.find_shown(group[middle:])


def _find_unread(
    original: Original, weights: Weights, unseen: Sequence[str], samples: SampleSet
) -> frozenset[str]:
    if not unseen or not isinstance(weights, ModuleWeights):
        return frozenset()
    with _ReadRecorder() as recorder:
        original.run_float32(samples.arrays)
    places = {name: weights.tensors[name].untyped_storage().data_ptr() for name in unseen}
    return frozenset(name for name, place in places.items() if place not in recorder.places)


class _ReadRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Records where the data of every tensor that an operator takes lie."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.layout is torch.strided:
                self.places.add(value.untyped_storage().data_ptr())
        return func(*args, **(kwargs or {}))

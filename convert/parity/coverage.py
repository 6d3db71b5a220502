"""What the samples exercise of a model, found by changing its inputs and its weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convert.manifest.records import IntegersRecord
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.parity.effects import Effects
from convert.parity.movement import find_movements
from convert.parity.sampling import Sampling
from convert.parity.small_signals import SmallSignals, try_small_signals
from convert.parity.unseen import Budget, UnseenWeights, find_unseen
from convert.parity.verify import Answers, Original
from convert.parity.weights import find_weights
from convert.parity.workload import OPERATIONS
from convert.sources.source import Source

SHARE = 0.25  # of the operations of parity's samples


@dataclass(frozen=True, slots=True)
class Trials:
    """What changed when inputs and weights were changed."""

    weights: UnseenWeights
    all_weights: int
    moved: frozenset[tuple[str, str]]
    """The pairs of an input and an output that it moves."""
    integers: tuple[IntegersRecord, ...]
    bounded: frozenset[str]
    """The inputs of whole numbers whose range is known."""
    small: SmallSignals
    undefined: Mapping[str, float]
    """The share of numbers that are NaN, in float64 or float32, on typical samples, by output with some."""


def examine(
    original: Original, source: Source, sampling: Sampling, own_sets: Sequence[SampleSet] = ()
) -> Trials:
    """What the model's outputs show of changes, on the generated samples that it accepts and the user's own.

    The model has its weights again afterwards. Raises ExportError where it fails on samples that it must
    take.
    """
    small = try_small_signals(original, (*sampling.sets, *own_sets))
    accepted = original.select_accepted((*sampling.sets, *own_sets))
    finite = [samples for samples in accepted if samples.finite]
    effects, budget = Effects(original, finite), Budget(SHARE * OPERATIONS, sampling.work.operations)
    weights = find_weights(original, source)
    names = [spec.name for spec in source.inputs]
    return Trials(
        moved=find_movements(original, names, finite, effects, budget),
        weights=find_unseen(original, weights, finite, effects, budget),
        all_weights=len(weights.names),
        integers=tuple(
            _count_integers(name, [samples.arrays[place] for samples in accepted])
            for place, name in enumerate(names)
            if name in sampling.ranges
        ),
        bounded=frozenset(name for name, integers in sampling.ranges.items() if integers.is_whole),
        small=small,
        undefined=dict(_find_undefined(original, [samples for samples in finite if samples.typical])),
    )


def _find_undefined(original: Original, sets: Sequence[SampleSet]) -> Iterator[tuple[str, float]]:
    answers = [original.answer(samples) for samples in sets]
    for output in original.outputs:
        undefined = np.concatenate([_find_nan(answer, output).reshape(-1) for answer in answers])
        if undefined.any():
            yield output, float(undefined.mean())


def _find_nan(answers: Answers, output: str) -> Array:
    """Where the original gives NaN: in float64 or, where both have one shape, in float32."""
    reference, first = answers.reference[output], answers.originals[0][output]
    if reference.dtype.kind != "f":
        return np.zeros(reference.shape, bool)
    nan: Array = np.isnan(reference)
    return nan | np.isnan(first) if first.shape == reference.shape else nan


def _count_integers(name: str, arrays: Sequence[Array]) -> IntegersRecord:
    numbers = np.unique(np.concatenate([array.reshape(-1) for array in arrays]))
    return IntegersRecord(name, int(numbers[0]), int(numbers[-1]), len(numbers))

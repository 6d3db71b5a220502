"""Signals far below 1: a file can be right beside outputs of usual size, and off by a share of small ones.

exp(x) − 1 near 0 is the usual cause, as in ELU: the error of 6e-8 is 6 % of a signal of 1e-6. It shows only
where outputs shrink with the inputs, as without biases. There the file has forms that keep these digits, and
what is lost all the same is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convert.errors import ExportError
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.criterion import compare
from convert.parity.verify import Original, run_set

SIZES = (1e-4, 1e-6)
"""Of the signals that are tried, beside typical ones."""
SHRUNK = 0.05
"""Outputs of at most this share of their typical size shrink with the signal."""


@dataclass(frozen=True, slots=True)
class SmallSignals:
    """Samples on which outputs may be small, and whether they are."""

    sets: tuple[SampleSet, ...] = ()
    """Typical samples made small, which the model accepted."""
    given: tuple[SampleSet, ...] = ()
    """The user's own."""
    shrink: bool = False
    """Whether an output is far below its typical size on any of them."""


def try_small_signals(original: Original, sets: Sequence[SampleSet]) -> SmallSignals:
    """The first typical samples at each of SIZES, and what the model makes of them, which is remembered."""
    typical = next((samples for samples in sets if samples.typical and not samples.given), None)
    if typical is None or not any(array.dtype.kind == "f" for array in typical.arrays):
        return SmallSignals()
    small = tuple(_scale(typical, size) for size in SIZES)
    given = tuple(samples for samples in sets if samples.given)
    try:
        original.remember_more(small)
        usual = _measure(original, typical)
        own = [_measure(original, samples) for samples in (*small, *given)]
    except ExportError:
        return SmallSignals()
    shrink = any(sizes[name] <= SHRUNK * usual[name] for sizes in own for name in usual if usual[name])
    return SmallSignals(small, given, shrink)


def find_losses(
    original: Original, session: Session, small: SmallSignals, tolerances: Mapping[str, float]
) -> Iterator[str]:
    """Each output of which the file loses digits, by its size on the samples themselves, in words."""
    groups = {samples.name: (samples,) for samples in small.sets} | {"your own samples": small.given}
    for name, sets in groups.items():
        runs = [run_set(original, session, samples) for samples in sets]
        for output in original.outputs if runs else ():
            results = [compare(run, output, 0.0, tolerances.get(output, 0.0)) for run in runs]
            worst = max(results, key=lambda result: result.used)
            if not worst.passed and worst.scale:
                lost, rounded = worst.file_error / worst.scale, worst.original_error / worst.scale
                yield (
                    f"on {name}, output `{output}` is off by {lost:.2g} of its size there; in float32 the "
                    f"model itself is by {rounded:.2g}"
                )


def _scale(samples: SampleSet, size: float) -> SampleSet:
    arrays = tuple(
        np.asarray(array * size, array.dtype) if array.dtype.kind == "f" else array
        for array in samples.arrays
    )
    return replace(samples, name=f"signals of {size:g}", arrays=arrays, typical=False)


def _measure(original: Original, samples: SampleSet) -> dict[str, float]:
    """The largest magnitude of each output of real numbers."""
    reference = original.answer(samples).reference
    return {
        name: float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
        for name, values in reference.items()
        if values.dtype.kind == "f"
    }

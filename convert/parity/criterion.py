"""The criterion of parity: when the ONNX file is as exact as the model it was made from.

The reference is the original model run in float64. A file passes when, at every output and in every set of
samples, its error is at most

    4 · (the original's own float32 error there) + 4 · eps · (the output's scale)

with eps the distance from 1 to the next float32. The original's own error is the largest of several float32
runs, whose inputs differ by one unit in the last place: one run alone can be right by luck where the problem
is ill-conditioned. The scale is the largest magnitude of the output on typical samples, or in the set itself
where that is larger.

One output may hold quantities of several sizes, such as boxes in pixels beside scores, and the largest would
hide an error in the others. So on typical samples every channel, an index of axis 1 or of the last axis, is
judged on its own too: by 16 times what its own error and scale allow, of which one in 16 numbers may stray.

A model of trees jumps at their thresholds. Where the original's own runs differ by a jump, the file must be
as near to one of them as it must be elsewhere to the reference; and the rounding of a sum of n trees is that
of one number times the root of n.

Where the original float32 model is not finite, nothing is demanded; where only the file is not, it fails.
But where float64 and every float32 run give the same infinity on typical samples, as a mask does, the file
must give it too. The largest number of a type stands for infinity here: that of float64 is another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptact.languages.catalogue import mark
from convert.model_io.array import Array
from convert.parity.undecided import excuse_jumps, find_lost_infinities, find_undecided, mark_largest

FACTOR = 4.0
FLOOR = 4.0
CHANNEL_FACTOR = 16.0
"""The original's own error in the few numbers of a channel may be small by luck, but not by so much."""
STRAYS = 16
"""One number of so many may lie beyond: where the problem is ill-conditioned at single samples, some do."""
FEWEST_NUMBERS = 3
"""Of a channel that is judged: each model is run on as many typical samples at least."""
LEAST_SCALE = 1.0
"""Of a channel, unless the whole has less: ONNX Runtime's Sigmoid, Tanh and Erf are right to a unit in the
last place of 1, not of what they give."""
CRITERION = mark(
    "|file - float64| <= {factor} * |original float32 - float64| + {floor} * eps * "
    "scale, and {channel} times "
    "that of each channel"
).format(factor=f"{FACTOR:g}", floor=f"{FLOOR:g}", channel=f"{CHANNEL_FACTOR:g}")
QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Run:
    """The results of one set of samples, by output name."""

    name: str
    samples: int
    typical: bool
    finite: bool
    """False where the inputs hold NaN or Inf: reported, not judged."""
    reference: Mapping[str, Array]
    """The original in float64."""
    originals: Sequence[Mapping[str, Array]]
    """The original in float32: first on the samples themselves, then on nudged ones."""
    file: Mapping[str, Array]
    trees: int = 0
    """How many trees the model adds up, if it does."""
    undefined: bool = False
    """Whether the user's own samples hold NaN or Inf: infinities are not judged then."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output in one set. `errors` are the file's, of the numbers that are judged.

    `original_errors` are the original's in float32 on the same samples and numbers.
    """

    output: str
    run: str
    scale: float
    original_error: float
    file_error: float
    allowed: float
    worst: tuple[int, ...]
    expected: float
    got: float
    overflowed: int
    non_finite: int
    non_finite_lost: int
    non_finite_gained: int
    errors: Array
    original_errors: Array

    @property
    def passed(self) -> bool:
        """Whether the file is as exact as the criterion asks. NaN is not."""
        return self.file_error <= self.allowed

    @property
    def used(self) -> float:
        """The share of the allowance that the file's error takes."""
        return _share(self.file_error, self.allowed)


def _share(error: float, allowed: float) -> float:
    return error / allowed if allowed else (np.inf if error else 0.0)


def measure_scales(runs: Sequence[Run]) -> dict[str, float]:
    """Each output's largest magnitude on the typical samples, where the original in float32 is finite."""
    return {
        output: max((_typical_scale(run, output) for run in runs if run.typical), default=0.0)
        for output in runs[0].reference
    }


@dataclass(frozen=True, slots=True)
class _Worst:
    """The largest error of an output or of one channel, its place, and what is allowed there."""

    scale: float
    own: float
    error: float
    allowed: float
    place: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _OutputErrors:
    """The file's error and the original's at every number of one output in one set, and their magnitudes."""

    file: Array
    own: Array
    magnitudes: Array
    eps: float
    """0 for whole numbers and truth values, which the file may not round."""
    tolerance: float

    def judge_output(self, typical_scale: float) -> _Worst:
        """The largest error of the whole output, and what its scale allows."""
        scale = max(typical_scale, float(self.magnitudes.max(initial=0.0)))
        own = float(self.own.max(initial=0.0))
        place = np.unravel_index(int(self.file.argmax()), self.file.shape) if self.file.size else ()
        return _Worst(
            scale=scale,
            own=own,
            error=float(self.file.max(initial=0.0)),
            allowed=self._allowed(own, scale) + self.tolerance * scale,
            place=tuple(int(index) for index in place),
        )

    def judge_channels(self, whole_scale: float) -> Iterator[_Worst]:
        """Along axis 1 and the last axis, the channel whose error is the largest share of its allowance."""
        for axis in {1, self.file.ndim - 1} if self.file.ndim > 1 else ():
            if self.file.size >= FEWEST_NUMBERS * max(self.file.shape[axis], 1):
                yield self._judge_channel(axis, whole_scale)

    def _judge_channel(self, axis: int, whole_scale: float) -> _Worst:
        file, own, magnitudes = (
            np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
            for numbers in (self.file, self.own, self.magnitudes)
        )
        rank = -1 - file.shape[1] // STRAYS
        errors, owns = np.partition(file, rank, axis=1)[:, rank], own.max(axis=1)
        sizes = np.maximum(magnitudes.max(axis=1), min(whole_scale, LEAST_SCALE))
        allowed = CHANNEL_FACTOR * self._allowed(owns, sizes) + self.tolerance * whole_scale
        channel = int(np.argmax([_share(*pair) for pair in zip(errors, allowed, strict=True)]))
        others = np.argwhere(np.take(self.file, channel, axis) == errors[channel])[0].tolist()
        return _Worst(
            scale=float(sizes[channel]),
            own=float(owns[channel]),
            error=float(errors[channel]),
            allowed=float(allowed[channel]),
            place=(*others[:axis], channel, *others[axis:]),
        )

    def _allowed(self, own: Any, scale: Any) -> Any:
        return (FACTOR * own if self.eps else 0.0) + FLOOR * self.eps * scale


def compare(run: Run, output: str, typical_scale: float, tolerance: float = 0.0) -> Comparison:
    """The file's error at one output in one set, and what is allowed; `tolerance` is a share of the scale."""
    dtype = run.originals[0][output].dtype
    exact, file, *runs = (
        mark_largest(values[output], dtype) for values in (run.reference, run.file, *run.originals)
    )
    reference, first = exact.astype(np.float64), runs[0]
    shapes = {reference.shape, *(own.shape for own in runs)}
    if file.shape not in shapes or file.dtype != first.dtype:
        return _compare_shapes(run, output, np.inf if run.finite else 0.0)
    if len(shapes) > 1:
        return _compare_shapes(run, output, 0.0)
    judged = _find_judged(reference, first)
    own = np.max([_measure_errors(values, exact, judged) for values in runs], axis=0)
    errors = _measure_errors(file, exact, judged, missing=np.inf)
    if not run.finite:
        errors = np.zeros_like(errors)
    real = first.dtype.kind == "f"
    eps = _eps(first) * max(run.trees, 1) ** 0.5
    if real and run.trees:
        floor = FLOOR * eps * max(typical_scale, _magnitude(reference))
        own, errors = excuse_jumps(file, runs, floor, own, errors)
    if not real:
        errors = np.where(find_undecided(own, exact, file), 0, errors)
    elif run.typical and run.finite and not run.undefined:
        errors = np.where(find_lost_infinities(exact, runs, file), np.inf, errors)
    output_errors = _OutputErrors(errors, own, np.abs(np.where(judged, reference, 0)), eps, tolerance)
    worst = output_errors.judge_output(typical_scale)
    if real and run.typical and run.finite:
        candidates = [worst, *output_errors.judge_channels(worst.scale)]
        worst = max(candidates, key=lambda candidate: _share(candidate.error, candidate.allowed))
    return Comparison(
        output=output,
        run=run.name,
        scale=worst.scale,
        original_error=worst.own,
        file_error=worst.error,
        allowed=worst.allowed,
        worst=worst.place,
        expected=float(run.reference[output][worst.place]) if errors.size else 0.0,
        got=float(run.file[output][worst.place]) if errors.size else 0.0,
        overflowed=int((np.isfinite(reference) & ~np.isfinite(first)).sum()),
        non_finite=int((~np.isfinite(reference)).sum()),
        non_finite_lost=int((~np.isfinite(reference) & ~_equal(file, first)).sum()),
        non_finite_gained=int((judged & ~np.isfinite(file)).sum()),
        errors=errors[judged],
        original_errors=_measure_errors(first, exact, judged)[judged],
    )


def _compare_shapes(run: Run, output: str, error: float) -> Comparison:
    """A comparison of an output by its type and shape alone.

    It fails where they are not the original's, unless the inputs hold NaN or Inf. It passes where the
    original itself, rounded otherwise, gives several shapes, as of what lies above a threshold, and the file
    has one of them.
    """
    return Comparison(
        output=output,
        run=run.name,
        scale=0.0,
        original_error=0.0,
        file_error=error,
        allowed=0.0,
        worst=run.file[output].shape,
        expected=run.originals[0][output].size,
        got=run.file[output].size,
        overflowed=0,
        non_finite=0,
        non_finite_lost=0,
        non_finite_gained=0,
        errors=np.zeros(0),
        original_errors=np.zeros(0),
    )


def _measure_errors(values: Array, reference: Array, judged: Array, missing: float = 0.0) -> Array:
    """|values − reference| where judged and finite, `missing` where judged and not finite, 0 elsewhere.

    Of different whole numbers it is at least 1: beyond 2⁵³ float64 has the same number for several.
    """
    finite = np.isfinite(values)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(values.astype(np.float64) - reference.astype(np.float64))
    if values.dtype.kind in "iu":
        distance = np.where(values == reference, 0.0, np.maximum(distance, 1.0))
    return np.where(judged, np.where(finite, distance, missing), 0.0)


def _typical_scale(run: Run, output: str) -> float:
    dtype = run.originals[0][output].dtype
    first, reference = (mark_largest(values[output], dtype) for values in (run.originals[0], run.reference))
    if first.shape != reference.shape:
        return _magnitude(first)
    return _magnitude(np.where(_find_judged(reference, first), reference, 0))


def _find_judged(reference: Array, first: Array) -> Array:
    """Where the original in float32 is finite, and its type holds what float64 gives."""
    judged: Array = np.isfinite(reference) & np.isfinite(first)
    return judged & (np.abs(reference) <= np.finfo(first.dtype).max) if first.dtype.kind == "f" else judged


def _equal(left: Array, right: Array) -> Array:
    equal: Array = left == right
    return equal | (np.isnan(left) & np.isnan(right)) if left.dtype.kind == "f" else equal


def _magnitude(values: Array) -> float:
    return float(np.abs(np.where(np.isfinite(values), values, 0)).max(initial=0.0))


def _eps(values: Array) -> float:
    return float(np.finfo(values.dtype).eps) if values.dtype.kind == "f" else 0.0

"""The samples that a model is compared on: generated ones and extremes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec, assign_batch
from convert.model_io.other_sizes import OtherSizes, advise_sizes, list_batches, list_other_sizes
from convert.model_io.patterns import (
    LEAST,
    LEVELS,
    MOST,
    NON_FINITE,
    ROW_OF_LEAST,
    ROW_OF_MOST,
    TYPICAL,
    WIDE,
    IntegerRange,
    choose_ranges,
    fill_array,
    is_float,
)

LARGEST_RUN = 64  # samples at a time
SMALLEST_LARGE_BATCH = 3  # samples in the largest generated batch, however much work they are
TYPICAL_NUMBERS = 2**19  # of the inputs in the largest generated batch: keeps parity cheap for images
SHOWN_NUMBERS = {"given": 2**22, "generated": 2**16}
"""Of the inputs whose activations are recorded: their histograms cost more than parity."""
MOST_ALONE = 8
"""Inputs that are tried at their extremes alone; if there are more, the others are so only all together."""
WIDE_NUMBERS = 64  # of a wide range, and of an extreme, that are tried at once, in at most WIDE_BATCH samples
WIDE_BATCH = 8


@dataclass(frozen=True, slots=True)
class SampleSet:
    """The arrays of one run, in the order of the inputs."""

    name: str
    arrays: tuple[Array, ...]
    typical: bool = False
    """Whether the outputs' typical scale is measured on these samples."""
    finite: bool = True
    """False where the samples hold NaN or Inf, which are reported and not judged."""
    given: bool = False
    """Whether the user gave them."""
    fixed: bool = False
    """Whether the model takes no other number of samples."""
    optional: bool = False
    """Whether the model may refuse the samples: other sizes than it must take, or masks that mask all."""
    advice: str = ""
    """What to do where the file is wrong on these samples, by their sizes or numbers, and not on others."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The free sizes, where they were chosen because the file may be wrong there."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A set to generate: its sizes, and the pattern of each input that is not typical."""

    name: str
    sizes: Mapping[str, int]
    patterns: Mapping[str, str] = field(default_factory=dict)
    typical: bool = False
    finite: bool = True
    optional: bool = False
    advice: str = ""


def generate_samples(
    inputs: Sequence[InputSpec], rows: int = LARGEST_RUN, ranges: Mapping[str, IntegerRange] | None = None
) -> tuple[SampleSet, ...]:
    """The sets that every model is compared on; the same on every call.

    Typical numbers in batches of one, two and many (or three times the fixed size), then extremes of all
    inputs together and of each alone, then other sizes than FREE_SIZE where there are free ones besides the
    batch, also the smallest. All are within the bounds of the sizes. Many are at least SMALLEST_LARGE_BATCH,
    and at most `rows`. `ranges` are those of whole numbers, by input; without them they are as described.
    """
    ranges = choose_ranges(inputs) if ranges is None else ranges
    random = np.random.default_rng(20240329)
    plans = (*_plan_sets(inputs, rows, ranges), *_plan_other_sizes(inputs), *_plan_more_extremes(inputs))
    return tuple(_generate_set(inputs, plan, ranges, random) for plan in plans)


def sample_sizes(
    inputs: Sequence[InputSpec], others: Sequence[OtherSizes], ranges: Mapping[str, IntegerRange]
) -> tuple[SampleSet, ...]:
    """Typical samples of these sizes, which the model may refuse; the same on every call."""
    random = np.random.default_rng(20261128)
    plans = (
        _Plan(
            f"sizes {_describe_sizes(other.sizes)}",
            other.sizes,
            optional=True,
            advice=advise_sizes(inputs, other),
        )
        for other in others
    )
    sets = (_generate_set(inputs, plan, ranges, random) for plan in plans)
    return tuple(replace(samples, sizes=other.sizes) for samples, other in zip(sets, others, strict=True))


def _generate_set(
    inputs: Sequence[InputSpec], plan: _Plan, ranges: Mapping[str, IntegerRange], random: np.random.Generator
) -> SampleSet:
    return SampleSet(
        plan.name,
        _fill_arrays(inputs, plan, ranges, random),
        typical=plan.typical,
        finite=plan.finite,
        fixed=inputs[0].free_batch is None,
        optional=plan.optional,
        advice=plan.advice,
    )


def count_other_rows(inputs: Sequence[InputSpec], ranges: Mapping[str, IntegerRange]) -> int:
    """The generated samples besides the largest batch, and besides those of other sizes."""
    plans = [*_plan_sets(inputs, 1, ranges), *_plan_more_extremes(inputs)]
    first = inputs[0].free_batch or ""
    batches = [plan.sizes.get(first, 1) for plan in plans]
    return sum(batches) - max(plan.sizes.get(first, 1) for plan in plans if plan.typical)


def _fill_arrays(
    inputs: Sequence[InputSpec],
    plan: _Plan,
    ranges: Mapping[str, IntegerRange],
    random: np.random.Generator,
) -> tuple[Array, ...]:
    return tuple(
        fill_array(
            spec,
            spec.fill_sizes(plan.sizes),
            plan.patterns.get(spec.name, TYPICAL),
            ranges.get(spec.name),
            random,
        )
        for spec in inputs
    )


def _plan_sets(inputs: Sequence[InputSpec], rows: int, ranges: Mapping[str, IntegerRange]) -> Iterator[_Plan]:
    first = inputs[0].free_batch
    for place, batch in enumerate(list_batches(inputs, _choose_largest_batch(inputs, rows)), start=1):
        name = f"typical, {place}" if first is None else f"typical, batch {batch.sizes[first]}"
        advice = "" if batch.bounds is None else advise_sizes(inputs, batch)
        yield _Plan(name, batch.sizes, typical=True, advice=advice)
    turning = {spec.name: LEVELS for spec in inputs if spec.levels}
    if turning:
        yield _Plan("levels of trees", assign_batch(inputs, LARGEST_RUN), turning, typical=True)
    floats = [spec.name for spec in inputs if is_float(spec)]
    one = assign_batch(inputs, 1)
    for pattern in ("large", "tiny", "zero", "boundary") if floats else ():
        yield _Plan(pattern, one, dict.fromkeys(floats, pattern))
    for pattern in NON_FINITE if floats else ():  # not judged, so a model may refuse them
        yield _Plan(pattern, one, dict.fromkeys(floats, pattern), finite=False, optional=True)
    yield from _plan_integers(inputs, ranges)
    for name in floats[:MOST_ALONE] if len(inputs) > 1 else ():
        for pattern in ("zero", "one"):
            yield _Plan(f"{name} all {pattern}", one, {name: pattern}, optional=True)


def _plan_more_extremes(inputs: Sequence[InputSpec]) -> Iterator[_Plan]:
    """Several samples of each extreme, where one holds so few numbers that all may have one sign."""
    floats, first = [spec for spec in inputs if is_float(spec)], inputs[0].free_batch
    sizes = assign_batch(inputs, _choose_wide_batch(floats) if floats else 1)
    if first is None or sizes == assign_batch(inputs, 1):
        return
    large, tiny, boundary = (
        dict.fromkeys((spec.name for spec in floats), pattern) for pattern in ("large", "tiny", "boundary")
    )
    yield _Plan(f"large, batch {sizes[first]}", sizes, large, optional=True)
    yield _Plan(f"tiny, batch {sizes[first]}", sizes, tiny, optional=True)
    yield _Plan(f"boundary, batch {sizes[first]}", sizes, boundary, optional=True)


def _plan_integers(inputs: Sequence[InputSpec], ranges: Mapping[str, IntegerRange]) -> Iterator[_Plan]:
    """Each input of whole numbers at its extremes and over its range alone, then all of them together.

    All are optional: a model may refuse a mask that masks all.
    """
    one, two = assign_batch(inputs, 1), assign_batch(inputs, 2)
    specs = [spec for spec in inputs if spec.name in ranges]
    for spec in specs[:MOST_ALONE]:
        name, integers = spec.name, ranges[spec.name]
        low, high = integers.typical
        for number, pattern in {low: LEAST, high: MOST}.items():
            yield _Plan(f"{name} all {number}", one, {name: pattern}, optional=True)
        if integers.is_binary and spec.shape:
            yield _Plan(f"{name} row of 0", two, {name: ROW_OF_LEAST}, optional=True)
            yield _Plan(f"{name} row of 1", two, {name: ROW_OF_MOST}, optional=True)
        if integers.typical != (integers.least, integers.most):
            sizes = assign_batch(inputs, _choose_wide_batch([spec]))
            title = f"{name} {integers.least} to {integers.most}"
            bounded = replace(spec, below=2).text
            advice = f"if the numbers of `{name}` have a bound, as a mask's do, say so: --input '{bounded}'"
            yield _Plan(title, sizes, {name: WIDE}, optional=True, advice=advice)
    if len(specs) > 1:
        for pattern in (LEAST, MOST):
            patterns = dict.fromkeys((spec.name for spec in specs), pattern)
            yield _Plan(f"all whole numbers {pattern}", one, patterns, optional=True)


def _choose_wide_batch(specs: Sequence[InputSpec]) -> int:
    """As many samples as hold WIDE_NUMBERS of these inputs, up to WIDE_BATCH."""
    numbers = sum(prod(spec.fill_sizes(assign_batch(specs, 1))) for spec in specs)
    return min(-(-WIDE_NUMBERS // max(numbers, 1)), WIDE_BATCH)


def _plan_other_sizes(inputs: Sequence[InputSpec]) -> Iterator[_Plan]:
    """Those of the other sizes that are few enough numbers."""
    one = assign_batch(inputs, 1)
    for other in list_other_sizes(inputs):
        if sum(prod(spec.fill_sizes(other.sizes)) for spec in inputs) <= TYPICAL_NUMBERS:
            unusual = {name: size for name, size in other.sizes.items() if one.get(name) != size}
            advice = advise_sizes(inputs, other)
            yield _Plan(f"other sizes, {_describe_sizes(unusual)}", other.sizes, optional=True, advice=advice)


def _describe_sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def _choose_largest_batch(inputs: Sequence[InputSpec], rows: int) -> int:
    """As many samples as TYPICAL_NUMBERS allow, from SMALLEST_LARGE_BATCH to `rows`."""
    numbers = sum(prod(spec.fill_sizes(assign_batch(inputs, 1))) for spec in inputs)
    return max(min(TYPICAL_NUMBERS // max(numbers, 1), rows, LARGEST_RUN), SMALLEST_LARGE_BATCH)


def choose_shown_samples(sets: Sequence[SampleSet]) -> tuple[SampleSet, ...]:
    """The user's own samples, else a generated typical set; as many as SHOWN_NUMBERS allow."""
    given = [samples for samples in sets if samples.given]
    left = SHOWN_NUMBERS["given" if given else "generated"]
    shown: list[SampleSet] = []
    for samples in given or [samples for samples in sets if samples.typical][-1:]:
        size = sum(array.size for array in samples.arrays)
        if size <= left or not shown:
            shown.append(samples if size <= left else _take_share(samples, left / size))
        left -= size
    return tuple(shown)


def _take_share(samples: SampleSet, share: float) -> SampleSet:
    """The first samples, this share of the set, but at least one; a fixed batch stays whole."""
    counts = {array.shape[0] if array.ndim else 1 for array in samples.arrays}
    if len(counts) != 1 or samples.fixed:
        return samples
    count = max(int(counts.pop() * share), 1)
    return replace(samples, arrays=tuple(array[:count] for array in samples.arrays))


def take_sample(samples: SampleSet, place: int) -> SampleSet:
    """The set with only the sample at `place`; the whole set where the batch is fixed or has no axis."""
    counts = {array.shape[0] if array.ndim else 1 for array in samples.arrays}
    if samples.fixed or len(counts) != 1 or place >= counts.pop():
        return samples
    return replace(samples, arrays=tuple(array[place : place + 1] for array in samples.arrays))


def make_example(inputs: Sequence[InputSpec], batch: int = 2) -> tuple[Array, ...]:
    """One batch of typical numbers; the exporter traces one of two samples."""
    plan = _Plan("example", assign_batch(inputs, batch))
    return _fill_arrays(inputs, plan, choose_ranges(inputs), np.random.default_rng(7))

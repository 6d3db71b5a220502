"""The generated samples of a model: as many as its work allows, of the whole numbers that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from convert.model_io.patterns import IntegerRange
from convert.model_io.samples import SampleSet, generate_samples
from convert.parity.integers import find_ranges
from convert.parity.verify import Original
from convert.parity.workload import Work, count_rows, measure_work
from convert.sources.source import Source


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sets, and what they were chosen by."""

    sets: tuple[SampleSet, ...]
    ranges: Mapping[str, IntegerRange]
    """Those of whole numbers, by input."""
    work: Work
    """That of one sample."""


def choose_samples(original: Original, source: Source) -> Sampling:
    """The sets that the model is compared on. Raises ExportError where typical samples do not run."""
    work = measure_work(original, source)
    ranges = find_ranges(original, source, work)
    rows = count_rows(work, source.inputs, ranges)
    return Sampling(generate_samples(source.inputs, rows, ranges), ranges, work)

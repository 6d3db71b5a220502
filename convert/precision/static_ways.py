"""The ways of rounding a graph statically that are tried, the one with the least error first.

Outliers behind normalisations are moved into weights first (see smoothing). Each method of ranges then rounds
the whole graph, and the outputs are compared with those of the graph in float: the error of a single value,
or of the layers that read it, does not tell which range is best for the outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import onnx_ir as ir

from adaptact.providers.machine import multiplies_tiles
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.precision.distributions import measure_distributions
from convert.precision.gate import count_samples
from convert.precision.ranges import (
    RangeMethod,
    choose_by_divergence,
    choose_percentile,
    choose_range,
    hold_all,
    hold_known,
)
from convert.precision.smoothing import smooth
from convert.precision.static import StaticScheme, find_static_sites, list_rounded_values

METHODS: tuple[RangeMethod, ...] = (choose_range, hold_known, choose_percentile, choose_by_divergence)
COMPARED_SAMPLES = 64
"""The samples that methods are compared on."""
FASTER_SYMMETRIC = frozenset({"openvino"})
"""The providers that take less time, on a processor with AMX, where ranges are symmetric."""


def prefers_symmetric(provider: str) -> bool:
    """Whether the provider takes less time here where ranges are symmetric, at a larger error."""
    return provider in FASTER_SYMMETRIC and multiplies_tiles()


def make_static_schemes(
    model: ir.Model,
    kinds: Mapping[str, str],
    sets: Sequence[SampleSet],
    provider: str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[StaticScheme, ...]:
    """With the ranges that lose least on the calibration data; and with ranges that hold more than these.

    Where the provider is faster with symmetric ranges, the first of the three has the symmetric ones that
    lose least. `kinds` names the class of each module.
    `on_progress` is called with the number of batches that have been run.
    """
    sites = find_static_sites(model, kinds, provider)
    smoothed, _ = smooth(model, sets)
    distributions = measure_distributions(smoothed, list_rounded_values(smoothed), sets, on_progress)
    whole = StaticScheme(smoothed, sites, distributions, hold_all, provider)
    compared = _take_first(sets)
    exact = _run(model, compared)

    def find_best(schemes: Sequence[StaticScheme]) -> StaticScheme:
        return min(schemes, key=lambda scheme: _measure_loss(exact, _run(scheme.round(()), compared)))

    schemes = [whole.with_ranges(method) for method in METHODS]
    if not prefers_symmetric(provider):
        return find_best(schemes), whole
    symmetric = [scheme.with_symmetric_ranges() for scheme in schemes]
    return find_best(symmetric), find_best(schemes), whole


def make_plain_scheme(model: ir.Model, sets: Sequence[SampleSet], provider: str) -> StaticScheme:
    """A scheme that takes as long as the others to run, made without comparing any."""
    sites = find_static_sites(model, {}, provider)
    distributions = measure_distributions(model, list_rounded_values(model), sets)
    scheme = StaticScheme(model, sites, distributions, choose_range, provider)
    return scheme.with_symmetric_ranges() if prefers_symmetric(provider) else scheme


def _take_first(sets: Sequence[SampleSet]) -> list[SampleSet]:
    """The first set, and others up to COMPARED_SAMPLES in all; none is cut, as a batch may be fixed."""
    totals = accumulate(count_samples([samples]) for samples in sets)
    within = [samples for samples, total in zip(sets, totals, strict=True) if total <= COMPARED_SAMPLES]
    return within or list(sets[:1])


def _run(graph: ir.Model, sets: Sequence[SampleSet]) -> list[dict[str, Array]]:
    """The outputs on each set, by ONNX Runtime's own kernels."""
    session = Session(serialise(graph), [value.name or "" for value in graph.graph.inputs])
    return [session.run(samples.arrays) for samples in sets]


def _measure_loss(exact: Sequence[dict[str, Array]], rounded: Sequence[dict[str, Array]]) -> float:
    """The mean squared error of all outputs as shares of their squares; infinite where it is no number."""
    loss = 0.0
    for expected, results in zip(exact, rounded, strict=True):
        for name, reference in expected.items():
            loss += _compare(reference, results[name])
    return loss if np.isfinite(loss) else np.inf


def _compare(reference: Array, result: Array) -> float:
    if result.shape != reference.shape:
        return np.inf
    if reference.dtype.kind != "f":
        return float((result != reference).mean()) if result.size else 0.0
    judged = np.isfinite(reference)
    exact = np.where(judged, reference, 0).astype(np.float64)
    lost = np.where(judged, result, 0) - exact
    return float((lost**2).sum() / max((exact**2).sum(), np.finfo(np.float64).tiny))

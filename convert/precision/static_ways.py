"""The ways of rounding a graph statically that are tried, the one with the least error first."""

from collections.abc import Callable, Sequence

import onnx_ir as ir

from convert.model_io.samples import SampleSet
from convert.precision.distributions import measure_distributions
from convert.precision.ranges import choose_range, hold_all
from convert.precision.sites import RoundingSite
from convert.precision.static import StaticScheme, list_rounded_values


def make_static_schemes(
    model: ir.Model,
    sites: Sequence[RoundingSite],
    sets: Sequence[SampleSet],
    provider: str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[StaticScheme, ...]:
    """With ranges of the least error on the calibration data; and with ranges that hold all numbers.

    `on_progress` is called with the number of batches that have been run.
    """
    distributions = measure_distributions(model, list_rounded_values(model), sets, on_progress)
    return tuple(
        StaticScheme(model, sites, distributions, choose, provider) for choose in (choose_range, hold_all)
    )

"""What fewer bits save: the bytes of the weights, and the time of a run."""

from collections.abc import Sequence

import onnx_ir as ir

from convert.artefact.external import LARGEST, count_weight_bytes
from convert.manifest.records import CostRecord, RoundedSpeedRecord
from convert.tuning.record import record_speeds
from convert.tuning.timing import LEAST_NOISE, Limits, Machine, compare_times


def measure_cost(
    exact: ir.Model,
    rounded: ir.Model,
    machines: tuple[Machine, Machine] | None = None,
    batches: Sequence[int] = (),
) -> CostRecord:
    """The bytes of both graphs' weights, and the time of each on its machine, where there are any.

    Graphs too large for one file are not timed.
    """
    before, after = count_weight_bytes(exact), count_weight_bytes(rounded)
    if machines is None or max(before, after) > LARGEST:
        return CostRecord(before, after)
    turns = machines[0].load(exact), machines[1].load(rounded)
    comparison = compare_times(machines[0], *turns, LEAST_NOISE, Limits(early=False))
    speeds = (
        RoundedSpeedRecord(speed.batch, speed.untuned, speed.tuned, speed.ratio, speed.low, speed.high)
        for speed in record_speeds(batches, comparison)
    )
    return CostRecord(before, after, tuple(speeds))

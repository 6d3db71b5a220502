"""The samples of sizes at which the exporter's graph may be wrong."""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from convert.errors import ExportError
from convert.manifest.size_bounds import LARGEST_SIZE
from convert.model_io.inputs import InputSpec, assign_batch
from convert.model_io.other_sizes import OtherSizes, advise_sizes
from convert.model_io.patterns import IntegerRange
from convert.model_io.samples import SampleSet, sample_sizes
from convert.parity.workload import NUMBERS, OPERATIONS, Work
from convert.sources.size_conditions import MOST_TRIED
from convert.sources.source import Source

LARGEST_SHARE = 0.25  # of OPERATIONS, that one set may take


def sample_doubtful(
    source: Source, doubtful: Sequence[OtherSizes], ranges: Mapping[str, IntegerRange], work: Work
) -> tuple[SampleSet, ...]:
    """Samples of the doubtful sizes, which the model may refuse; together they take OPERATIONS at most.

    `work` is that of one sample of the usual size. Raises ExportError where a size is too much work to
    compare, and the model takes it.
    """
    chosen, large = _share_work(source.inputs, doubtful, work)
    for other in large:
        _require_refused(source.model, source.inputs, other)
    return sample_sizes(source.inputs, chosen, ranges)


def sample_recorded(
    source: Source, tried: Sequence[Mapping[str, int]], ranges: Mapping[str, IntegerRange], work: Work
) -> tuple[SampleSet, ...]:
    """Samples of the sizes that a manifest records, as far as they are the inputs' and not too much work."""
    bounds = {
        size: spec.get_bounds(size) for spec in source.inputs for size in spec.shape if isinstance(size, str)
    }
    known = [
        OtherSizes(sizes)
        for sizes in tried[:MOST_TRIED]
        if sizes.keys() == bounds.keys()
        and all(0 < size <= LARGEST_SIZE and bounds[name].allow(size) for name, size in sizes.items())
    ]
    chosen, _ = _share_work(source.inputs, known, work)
    return sample_sizes(source.inputs, chosen, ranges)


def _share_work(
    inputs: Sequence[InputSpec], others: Sequence[OtherSizes], work: Work
) -> tuple[list[OtherSizes], list[OtherSizes]]:
    """The first sizes that OPERATIONS are enough for, and those of which one alone is too much."""
    left, chosen, large = OPERATIONS, list[OtherSizes](), list[OtherSizes]()
    for other in others:
        share = _count_numbers(inputs, other.sizes) / _count_numbers(inputs, {})
        operations = work.operations * share
        if operations > LARGEST_SHARE * OPERATIONS or work.largest * share > NUMBERS:
            large.append(other)
        elif operations <= left:
            left -= operations
            chosen.append(other)
    return chosen, large


def _count_numbers(inputs: Sequence[InputSpec], sizes: Mapping[str, int]) -> int:
    filled = {**assign_batch(inputs, 1), **sizes}
    return sum(prod(spec.fill_sizes(filled)) for spec in inputs)


def _require_refused(model: nn.Module, inputs: Sequence[InputSpec], other: OtherSizes) -> None:
    if _runs_at(model, inputs, other.sizes):
        sizes = ", ".join(f"{name} {size}" for name, size in other.sizes.items())
        raise ExportError(
            f"the model branches on its sizes: the graph is of the branch for `{other.condition}`, and the "
            f"model also takes {sizes}, which is too large to compare",
            hint=advise_sizes(inputs, other),
        )


def _runs_at(model: nn.Module, inputs: Sequence[InputSpec], sizes: Mapping[str, int]) -> bool:
    """Whether the model runs at these sizes; nothing is computed, so no size is too large to try."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            model(*(torch.empty(spec.fill_sizes(sizes), dtype=getattr(torch, spec.dtype)) for spec in inputs))
    except Exception:  # noqa: BLE001  # foreign code may raise anything
        return False
    return True

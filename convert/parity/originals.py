"""The original of a source: what the file is compared with."""

from collections.abc import Mapping

from convert.parity.tolerance import require_known
from convert.parity.verify import Original
from convert.sources.export import list_output_names
from convert.sources.source import Source


def make_original(source: Source, tolerances: Mapping[str, float]) -> Original:
    """The model to compare with, its outputs named. Raises UsageError for a tolerance of another output."""
    if source.graph is not None:
        names = [value.name or "" for value in source.graph.graph.outputs]
    else:
        names = list(list_output_names(source.model, source.inputs, source.outputs))
    require_known(tolerances, names)
    return Original(source.model, names)

"""Which operators of a file its provider computes, and which it leaves to the CPU provider."""

from collections.abc import Sequence
from pathlib import Path

from convert.manifest.providers import PlacementRecord
from convert.model_io.runtime import Session


def find_placement(
    graph: bytes, names: Sequence[str], provider: str, folder: Path | None = None
) -> PlacementRecord | None:
    """Where ONNX Runtime places the operators of the graph; None for the CPU provider, which has them all.

    External data of the graph lie in `folder`.
    """
    if provider == "cpu":
        return None
    own, others = Session(graph, names, provider, folder=folder).count_operators()
    return PlacementRecord(sum(own.values()) + sum(others.values()), others)

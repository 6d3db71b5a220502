"""A graph on the disk while it is judged: ONNX Runtime keeps a copy of what it is given in memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir

from convert.artefact.external import LARGEST, PlacedModel, count_weight_bytes, place_weights
from convert.artefact.file import serialise
from convert.model_io.runtime import Session


@contextmanager
def store_graph(placed: PlacedModel) -> Iterator[bytes | Path]:
    """Its path, without the manifest; its bytes where its weights lie elsewhere or the disk is full."""
    content = serialise(placed.model)
    if placed.data is not None:  # the weights are on the disk already
        yield content
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        try:
            path.write_bytes(content)
        except OSError:  # no room on the disk: kept in memory
            yield content
            return
        del content
        yield path


def read_graph(graph: bytes | Path) -> bytes:
    """The bytes of the stored graph."""
    return graph if isinstance(graph, bytes) else graph.read_bytes()


@contextmanager
def open_graph(model: ir.Model, names: Sequence[str], provider: str) -> Iterator[Session]:
    """A session of the graph; weights too large for one file lie in the folder for temporary files."""
    if count_weight_bytes(model) <= LARGEST:
        yield Session(serialise(model), names, provider)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        place_weights(model, Path(folder) / "graph.onnx") as placed,
    ):
        yield Session(serialise(placed.model), names, provider, folder=placed.folder)

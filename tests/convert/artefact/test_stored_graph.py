from pathlib import Path

import pytest

from convert.artefact.external import PlacedModel
from convert.artefact.file import serialise
from convert.artefact.stored_graph import read_graph, store_graph
from tests.convert.graphs import parse_graph, write_graph

GRAPH = parse_graph(write_graph("y = Relu(x)"))


def test_the_graph_lies_on_the_disk_for_a_while(tmp_path: Path) -> None:
    with store_graph(PlacedModel(GRAPH, tmp_path)) as stored:
        assert isinstance(stored, Path)
        assert read_graph(stored) == serialise(GRAPH)
    assert not stored.exists()


def test_on_a_full_disk_the_graph_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with store_graph(PlacedModel(GRAPH, tmp_path)) as stored:
        assert stored == serialise(GRAPH)
        assert read_graph(stored) == stored

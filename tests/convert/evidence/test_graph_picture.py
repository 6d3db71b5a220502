from pathlib import Path

import pytest

from convert.errors import UsageError
from convert.evidence.graph_picture import list_boxes, place_boxes, write_picture
from tests.convert.graphs import parse_graph, write_constant, write_graph

GRAPH = parse_graph(
    write_graph("a = Relu(x) b = Sigmoid(x) c = Mul(a, s) y = Add(c, b)", write_constant("s", 4, 1, 1))
)


def test_a_box_reads_those_whose_values_it_takes() -> None:
    boxes = list_boxes(GRAPH)
    assert [box.label.partition("\n")[0] for box in boxes] == ["x", "Relu", "Sigmoid", "Mul", "Add", "y"]
    assert [box.reads for box in boxes] == [(), (0,), (0,), (1,), (3, 2), (4,)]


def test_every_box_is_alone_and_below_its_inputs() -> None:
    boxes = list_boxes(GRAPH)
    places = place_boxes(boxes)
    assert len(set(places)) == len(places)
    for box, (_, row) in zip(boxes, places, strict=True):
        assert all(places[read][1] < row for read in box.reads)


def test_a_deep_graph_goes_on_in_the_next_column() -> None:
    steps = " ".join(f"v{n + 1} = Relu(v{n})" for n in range(100))
    deep = parse_graph(write_graph(f"v0 = Relu(x) {steps} y = Relu(v100)"))
    columns = {column for column, _ in place_boxes(list_boxes(deep))}
    assert columns == {0, 1, 2}


def test_too_large_a_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.evidence.graph_picture.MOST_NODES", 3)
    with pytest.raises(UsageError, match="has 4 operators, and a picture shows at most 3"):
        write_picture(GRAPH, tmp_path / "g.svg")
    assert not list(tmp_path.iterdir())

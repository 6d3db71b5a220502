from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.patterns import IntegerRange
from convert.model_io.runtime import Session
from convert.model_io.samples import generate_samples
from convert.parity import integers
from convert.parity.integers import find_ranges
from convert.parity.sampling import choose_samples
from convert.parity.verify import Original, find_advice, measure_parity
from convert.parity.workload import measure_work
from convert.sources.load import load
from convert.sources.source import Source
from tests.convert.graphs import parse_graph

LONG, INT = np.iinfo(np.int64), np.iinfo(np.int32)


class Apply(nn.Module):
    """A function of one tensor, beside a table of nine rows."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.table = nn.Parameter(torch.arange(18.0).reshape(9, 2))

    def forward(self, x: Tensor) -> Tensor:
        """What the function gives."""
        return self.function(x, self.table)


def _find_in(source: Source) -> IntegerRange:
    original = Original(source.model, ["y"])
    return find_ranges(original, source, measure_work(original, source))["x"]


def _find(function: Callable[[Tensor, Tensor], Tensor], kind: str = "x:int64[N]") -> IntegerRange:
    spec = parse_input(kind)
    source = Source(Apply(function).eval(), (spec,), ("y",), None, None, "", kind="module")
    return _find_in(source)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, table: table[x], IntegerRange(-9, 8, (-9, 8))),
        (F.embedding, IntegerRange(0, 8, (0, 8))),
        (lambda x, table: table.index_select(0, x + 2), IntegerRange(-2, 6, (-2, 6))),
        (lambda x, table: torch.div(x, 4), IntegerRange(int(LONG.min), int(LONG.max), (0, 1))),
        (lambda x, table: table[x.clamp(min=0)], IntegerRange(int(LONG.min), 8, (0, 8))),
    ],
    ids=["index", "embedding", "shifted", "any", "clamped"],
)
def test_the_numbers_that_a_model_takes_are_found(
    function: Callable[[Tensor, Tensor], Tensor], expected: IntegerRange
) -> None:
    assert _find(function) == expected


def test_the_type_bounds_the_range() -> None:
    assert _find(lambda x, table: x * 0.5, "x:int32[N]") == IntegerRange(int(INT.min), int(INT.max), (0, 1))


def test_a_number_that_is_a_size_is_not_raised_far() -> None:
    found = _find(lambda x, table: F.one_hot(x).sum(1).float())
    assert 1 <= found.most < 2**24
    assert not found.is_whole
    assert found.typical == (0, 1)


def test_a_described_range_is_kept() -> None:
    assert _find(lambda x, table: table[x], "x:int64[N]<5") == IntegerRange(0, 4, (0, 4))


def test_a_model_of_much_work_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "OPERATIONS", 1.0)
    assert _find(lambda x, table: table[x]) == IntegerRange(0, 1, (0, 1), is_whole=False)


def test_a_quotient_that_is_rounded_otherwise_fails() -> None:
    spec = parse_input("x:int64[N]")
    model = Apply(lambda x, table: torch.div(x, 4, rounding_mode="floor")).eval()
    source = Source(model, (spec,), ("y",), None, None, "", kind="module")
    head = '<ir_version: 10, opset_import: ["" : 20]> g (int64[N] x) => (int64[N] y)'
    towards_zero = parse_graph(f"{head} <int64 four = {{4}}> {{ y = Div(x, four) }}")
    original, session = Original(model, ["y"]), Session(serialise(towards_zero), ["x"])
    assert measure_parity(original, session, generate_samples([spec]), {}).passed
    found = choose_samples(original, source).sets
    parity = measure_parity(original, session, found, {})
    assert not parity.passed
    assert "--input 'x:int64[N]<2'" in find_advice(parity, found)  # where the numbers are those of a mask


def _find_in_graph(tmp_path: Path, body: str) -> IntegerRange:
    head = '<ir_version: 10, opset_import: ["" : 20]> g (int64[N] x) => (float[M] y)'
    table = (
        "<float[9] table = {1, 2, 3, 4, 5, 6, 7, 8, 9}, int64[1] two = {2}, int64 no = {0}, int64 one = {1}>"
    )
    (tmp_path / "m.onnx").write_bytes(serialise(parse_graph(f"{head} {table} {{ {body} }}")))
    source = load(tmp_path / "m.onnx")
    return _find_in(source)


def test_the_range_of_a_graph_is_found(tmp_path: Path) -> None:
    assert _find_in_graph(tmp_path, "i = Add(x, two) y = Gather(table, i)") == IntegerRange(-11, 6, (-11, 6))


def test_a_size_in_a_graph_is_not_tried(tmp_path: Path) -> None:
    body = "n = ReduceMax<keepdims = 0>(x) r = Range(no, n, one) y = Cast<to = 1>(r)"
    assert _find_in_graph(tmp_path, body) == IntegerRange(0, 1, (0, 1), is_whole=False)

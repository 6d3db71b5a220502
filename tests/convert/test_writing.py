from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from convert.errors import ParityError
from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Outcome, Rule
from convert.pipeline import convert
from tests.convert.graphs import ROWS, write_graph

SHRINKING = "one = Constant<value = float {1.0}>() a = Abs(x) u = Add(a, one) y = Log(u)"
"""A graph whose outputs are small where its inputs are, so that the file takes forms for small signals."""


def _write_wrongly(node: ir.Node) -> Outcome:
    edit = Edit(node)
    if any(use.node.op_type == "Neg" for use in node.outputs[0].uses()):
        return None
    edit.replace(edit.op("Neg", edit.reapply(*node.inputs)))
    return FIRED


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graph's file; the form of its Log for small signals is wrong."""
    monkeypatch.setattr("convert.rewriting.plan.SMALL_FORMS", (Rule("wrong", ("Log",), _write_wrongly),))
    text = write_graph(SHRINKING, x=ROWS, y=ROWS)
    onnx.save(onnx.parser.parse_model(text), tmp_path / "graph.onnx")
    return tmp_path / "graph.onnx"


@pytest.mark.slow
def test_a_form_for_small_signals_that_breaks_parity_is_dropped(graph: Path, tmp_path: Path) -> None:
    manifest = convert(graph, tmp_path / "m.onnx")
    assert [record.rule for record in manifest.dropped] == ["wrong"]
    assert manifest.fired == ()


@pytest.mark.slow
def test_a_rule_that_was_dropped_in_vain_is_not_dropped_again(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = "convert.rewriting.plan.FormPlan.alternatives"
    monkeypatch.setattr(plan, lambda self: (Rule("wrong", ("Log",), _write_wrongly),))
    with pytest.raises(ParityError, match="parity failed for output `y`"):
        convert(graph, tmp_path / "m.onnx")

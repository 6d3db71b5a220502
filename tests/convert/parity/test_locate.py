import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Outcome, Rule
from convert.model_io.samples import SampleSet
from convert.parity.locate import find_refused_rule
from convert.rewriting.plan import FormPlan
from tests.convert.graphs import make_samples, parse_graph, write_graph

SETS = (SampleSet("x", (make_samples(),)),)


def _widen(node: ir.Node) -> Outcome:
    edit = Edit(node)
    wide = edit.op("Cast", *node.inputs, to=ir.DataType.DOUBLE)  # type: ignore[arg-type]
    edit.replace(edit.op("Cast", edit.op("Elu", wide), to=ir.DataType.FLOAT))
    return FIRED


def _double(node: ir.Node) -> Outcome:
    edit = Edit(node)
    edit.replace(edit.op("Relu", edit.op("Relu", edit.op("Abs", *node.inputs))))  # type: ignore[arg-type]
    return FIRED


RULES = (Rule("abs_to_relu", ("Neg",), _double), Rule("elu_to_double", ("Elu",), _widen))


def test_a_rule_that_writes_an_unsupported_operator_is_named() -> None:
    model = parse_graph(write_graph("n = Neg(x) m = Neg(n) y = Elu(m)"))
    assert find_refused_rule(model, RULES, FormPlan(), SETS, "cpu") == "elu_to_double"


def test_none_is_named_where_the_graph_can_be_run() -> None:
    assert find_refused_rule(parse_graph(write_graph("y = Neg(x)")), RULES, FormPlan(), SETS, "cpu") is None


def test_none_is_named_where_the_graph_could_not_be_run_before() -> None:
    model = parse_graph(write_graph("d = Cast<to = 11>(x) e = Mish(d) f = Cast<to = 1>(e) y = Elu(f)"))
    assert find_refused_rule(model, RULES, FormPlan(), SETS, "cpu") is None

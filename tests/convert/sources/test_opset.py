import numpy as np
import onnx
import pytest
import torch
from torch import nn

from convert.artefact.file import serialise
from convert.errors import ExportError
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from convert.sources.fold import fold
from convert.sources.opset import OPSETS, lower_opset
from tests.convert.graphs import make_samples, parse_graph, run_graph, write_constant, write_graph
from tests.convert.models import SideBySide, compare_model, cover_operators, make_activation

SPEC = parse_input("x:float32[N,4,5,5]")


NAMES = cover_operators()


@pytest.fixture(scope="module")
def side_by_side() -> SideBySide:
    """The activations per channel, each after a convolution of its own."""
    torch.manual_seed(2)
    return SideBySide(*(nn.Sequential(nn.Conv2d(4, 4, 3), make_activation(name, 4)) for name in NAMES)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_every_promised_operator_is_written_at_both_end_opsets(side_by_side: SideBySide, opset: int) -> None:
    optimised = optimise(export(fold(side_by_side), [SPEC], NAMES, opset).model).model
    assert optimised.opset_imports[""] == opset
    onnx.checker.check_model(onnx.load_model_from_string(serialise(optimised)), full_check=True)
    comparisons = compare_model(side_by_side, optimised, SPEC, NAMES)
    assert [comparison.output for comparison in comparisons if not comparison.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_is_written(opset: int) -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3), make_activation("PELU", 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    optimised = optimise(export(fold(model.eval()), [SPEC], ["y"], opset).model).model
    assert optimised.opset_imports[""] == opset
    x = make_samples((2, 4, 5, 5)).clip(-20, 20)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    got = Session(serialise(optimised), ["x"]).run([x])["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "out", "expected"),
    [
        ("y = ReduceMean(x, a)", "float[N,4,1,1]", ["ReduceMean"]),
        ("y = ReduceMax<keepdims = 0>(x, a)", "float[N,4]", ["ReduceMax"]),
        ("y, z = Split<axis = 1, num_outputs = 2>(x)", "float[N,2,6,6]", ["Split"]),
        ("y = Mish(x)", "float[N,4,6,6]", ["Softplus", "Tanh", "Mul"]),
        ("y = Relu(x)", "float[N,4,6,6]", ["Relu"]),
        ("y = GridSample(x, g)", "float[N,4,2,2]", ["GridSample"]),
        ('y = GridSample<mode = "cubic">(x, g)', "float[N,4,2,2]", ["GridSample"]),
        ('y = GridSample<mode = "nearest">(x, g)', "float[N,4,2,2]", ["GridSample"]),
    ],
)
def test_an_operator_takes_its_older_form(body: str, out: str, expected: list[str]) -> None:
    grid = write_constant("g", 3, 2, 2, 2)
    model = parse_graph(write_graph(body, "int64[2] a = {2, 3}", grid, y=out))
    carried = lower_opset(model, 17)
    assert [node.op_type for node in carried.graph] == expected
    assert carried.opset_imports[""] == 17
    x = make_samples().clip(-30, 30)
    np.testing.assert_allclose(run_graph(carried, {"x": x})["y"], run_graph(model, {"x": x})["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [("y = Gelu(x)", "`Gelu` .* needs opset 20"), ("y = ReduceMean(x, h)", "needs opset 18")],
)
def test_an_operator_without_older_form_names_its_opset(body: str, reason: str) -> None:
    axes = "h = Identity(a) " if "h" in body else ""
    model = parse_graph(write_graph(axes + body, "int64[1] a = {1}", y="float[N,M,6,6]"))
    with pytest.raises(ExportError, match=reason) as refused:
        lower_opset(model, 17)
    assert "--opset" in str(refused.value.hint)


def test_an_operator_that_meant_something_else_names_its_opset() -> None:
    """Before opset 21 GroupNormalization had one scale for each group."""
    text = write_graph("y = GroupNormalization<num_groups = 2>(x, s, s)", write_constant("s", 4))
    model = parse_graph(text.replace('"" : 20', '"" : 21'))
    with pytest.raises(ExportError, match=r"`GroupNormalization` .* needs opset 21"):
        lower_opset(model, 20)


def test_an_old_enough_graph_is_unchanged() -> None:
    model = parse_graph(write_graph("y = Relu(x)"))
    assert lower_opset(model, 23) is model

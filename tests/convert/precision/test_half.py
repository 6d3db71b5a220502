import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.precision.half import LARGEST_HALF, HalfScheme
from convert.precision.sites import Ranges, find_sites
from tests.convert.models import export_model, optimise_model
from tests.convert.precision.networks import build_network, make_samples, read_graph

ROW = parse_input("row:float32[N,4]")


def _make_scheme(graph: ir.Model, ranges: Ranges | None = None) -> HalfScheme:
    return HalfScheme(graph, find_sites(graph, {}), ranges or {}, {})


def _list_types(graph: ir.Model) -> set[ir.DataType | None]:
    return {value.dtype for value in (*graph.graph.inputs, *graph.graph.outputs)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images", "rows", "cube"])
def test_everything_between_the_inputs_and_outputs_is_half(name: str) -> None:
    _, _, graph = build_network(name)
    half = _make_scheme(graph)
    rounded = half.round(())
    assert half.unfit == ()
    assert _list_types(rounded) == {ir.DataType.FLOAT}
    assert [node.op_type for node in rounded.graph].count("Cast") == 2
    floats = [value for value in rounded.graph.initializers.values() if value.dtype == ir.DataType.FLOAT]
    assert floats == []


def test_the_argument_is_left_as_it_is() -> None:
    _, _, graph = build_network("rows")
    before = serialise(graph)
    _make_scheme(graph).round(())
    assert serialise(graph) == before


def test_values_out_of_range_stay_in_float() -> None:
    _, _, graph = build_network("images")
    value = next(node for node in graph.graph if node.op_type == "Sigmoid").inputs[0]
    assert value is not None
    half = _make_scheme(graph, {value.name or "": (-0.6 * LARGEST_HALF, 3.0)})
    assert [record.layer for record in half.unfit] == ["1", "2"]  # what gives it, and what reads it
    assert "numbers up to 3.93e+04 on the samples" in half.unfit[0].reason
    kept = next(node for node in half.round(()).graph if node.op_type == "Sigmoid")
    assert kept.inputs[0] is not None
    assert kept.inputs[0].dtype == ir.DataType.FLOAT


class Scaled(nn.Module):
    """A product with one number, which half may not hold, between two linear layers."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 2]."""
        result: Tensor = self.last(torch.sin(torch.sigmoid(self.first(x)) * self.factor) / self.factor)
        return result


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "text"), [(1e6, "half ends at 65504"), (3e-8, "which half rounds by")])
def test_constants_out_of_range_stay_in_float(factor: float, text: str) -> None:
    graph = optimise_model(Scaled(factor).eval(), ROW).model
    half = _make_scheme(graph)
    assert text in " ".join(record.reason for record in half.unfit)
    session = ort.InferenceSession(serialise(half.round(())), providers=["CPUExecutionProvider"])
    x = make_samples(ROW, 8)
    expected = ort.InferenceSession(serialise(graph), providers=["CPUExecutionProvider"]).run(
        None, {"row": x}
    )
    np.testing.assert_allclose(session.run(None, {"row": x})[0], expected[0], atol=5e-3)


@pytest.mark.parametrize(("number", "reason"), [(1e6, "a constant of 1e"), (1.0, None)])
def test_a_constant_beside_infinity_is_judged_too(number: float, reason: str | None) -> None:
    text = "g (float[N,2] x) => (float[N,2] y) { y = Add(x, c) }"
    unfit = _make_scheme(read_graph(text, c=np.array([-np.inf, number], np.float32))).unfit
    assert [layer.reason.startswith(reason or "") for layer in unfit] == [True] * (reason is not None)


def test_names_like_those_of_the_casts_stay_with_their_values() -> None:
    graph = read_graph(
        "g (float[N,2] x, float[N,2] x_half) => (float[N,2] y, float[N,2] y_half)"
        "{ y = Relu(x)\n y_half = Mul(x_half, c) }",
        c=np.array([2, 3], np.float32),
        c_half=np.array([1, 1], np.float32),
    )
    row = np.array([[1, -2]], np.float32)
    session = ort.InferenceSession(serialise(_make_scheme(graph).round(())))
    y, y_half = session.run(["y", "y_half"], {"x": row, "x_half": row})
    assert (y.tolist(), y_half.tolist()) == ([[1, 0]], [[2, -6]])


def test_only_the_kept_activation_computes_in_float() -> None:
    _, _, graph = build_network("rows")
    half = _make_scheme(graph)
    site = next(site for site in half.sites if site.has_activation)
    rounded = half.round((site,))
    nodes = {node.name: node for node in rounded.graph}
    for name in site.between:
        assert nodes[name].outputs[0].dtype == ir.DataType.FLOAT
    for name in site.readers:
        assert nodes[name].outputs[0].dtype == ir.DataType.FLOAT16


@pytest.mark.slow
def test_an_output_that_others_read_keeps_its_name_and_type() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            """[N, 4] -> [N, 4] twice."""
            inner = self.linear(x)
            return inner, torch.tanh(inner)

    rounded = _make_scheme(export_model(Two().eval(), ROW, ("inner", "outer"))).round(())
    assert [value.name for value in rounded.graph.outputs] == ["inner", "outer"]
    session = ort.InferenceSession(serialise(rounded), providers=["CPUExecutionProvider"])
    inner, outer = session.run(None, {"row": make_samples(ROW, 3)})
    np.testing.assert_allclose(np.tanh(inner), outer, atol=2e-3)

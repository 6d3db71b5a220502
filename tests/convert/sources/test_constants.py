import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.sources.constants import fold_constants
from convert.sources.export import export


def parse(operation: str) -> ir.Model:
    """A graph of one operation on the rows x, such as `x Add 1e-9 c`, with a constant c."""
    first, operator, number, second = operation.split()
    text = f"""<ir_version: 9, opset_import: ["" : 20]>
    graph (float[N, 4] x) => (float[N, 4] y) {{ c = Constant<value = float {{{number}}}>()
    y = {operator}({first}, {second}) }}"""
    return ir.from_proto(onnx.parser.parse_model(text))


@pytest.mark.parametrize(
    "operation",
    [
        *("x Add 1e-9 c", "c Add 1e-12 x", "x Add 1e-8 c", "x Sub 1e-9 c"),
        *("x Mul 1.000009 c", "c Mul 0.999999 x", "x Div 1.000009 c"),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_number_near_the_neutral_one_is_not_dropped(operation: str, trusted: bool) -> None:
    folded = fold_constants(parse(operation), trusted=trusted)
    assert [node.op_type for node in folded.graph] == [operation.split()[1]]


class Log(nn.Module):
    """The usual guard of a logarithm."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        return torch.log(x + 1e-9)


@pytest.mark.slow
def test_the_guard_of_a_logarithm_is_exported() -> None:
    graph = export(Log(), [parse_input("x:float32[N,4]")], ["y"]).model
    x = torch.tensor([[0.0, 1e-9, 1e-6, 1.0]])
    got = Session(serialise(graph), ["x"]).run([x.numpy()])["y"]
    assert got == pytest.approx(torch.log(x.double() + 1e-9).numpy(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("trusted", [True, False])
def test_every_clip_keeps_its_own_bounds(trusted: bool) -> None:
    text = """<ir_version: 9, opset_import: ["" : 20]>
    graph (float[N, 4] x) => (float[N, 4] y, float[N, 4] z, float[N, 4] w)
    <float a = {-1}, float b = {2}, float c = {-3}, float d = {4}, float e = {-5}, float f = {6}> {
    p = Max(x, a)
    y = Min(p, b)
    q = Min(x, d)
    z = Max(q, c)
    r = Max(x, e)
    w = Min(r, f) }"""
    folded = fold_constants(ir.from_proto(onnx.parser.parse_model(text)), trusted=trusted)
    assert [node.op_type for node in folded.graph] == ["Clip"] * 3
    x = np.linspace(-8, 8, 12, dtype=np.float32).reshape(3, 4)
    got = Session(serialise(folded), ["x"]).run([x])
    assert np.array_equal(got["y"], x.clip(-1, 2))
    assert np.array_equal(got["z"], x.clip(-3, 4))
    assert np.array_equal(got["w"], x.clip(-5, 6))


@pytest.mark.parametrize("second", ["Relu(p)", "Clip(p, zero, one)"])
def test_bounds_that_share_no_number_are_not_joined(second: str) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 20]> graph (float[N] x) => (float[N] y)
    <float low = {{-3}}, float high = {{-1}}, float zero = {{0}}, float one = {{1}}> {{
    p = Clip(x, low, high)
    y = {second} }}"""
    folded = fold_constants(ir.from_proto(onnx.parser.parse_model(text)))
    got = Session(serialise(folded), ["x"]).run([np.linspace(-8, 8, 12, dtype=np.float32)])["y"]
    assert not got.any()

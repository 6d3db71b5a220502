"""Small graphs for the tests: ONNX text, run by ONNX Runtime and, in float64, by onnx itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from convert.artefact.file import serialise
from convert.graph.rule import Rule
from convert.model_io.runtime import Session
from convert.rewriting.optimise import OptimisedGraph, optimise

Array = np.ndarray[Any, np.dtype[Any]]

IMAGE = "float[N,4,6,6]"
ROWS = "float[N,4]"
HALVED = "float[N,4,3,3]"
# One rounding of a float32 number, as a share of it.
ROUNDING = 1.2e-7
# What the activations are tried on besides random numbers: their corners, saturation, and both ends.
CORNERS = (0.0, -0.0, 1.0, -1.0, 1e-8, -1e-8, 20.0, -20.0, 88.0, -88.0, 1e4, -1e4)


def write_numbers(*shape: int, seed: int = 0) -> str:
    """Constants of a shape, as text: multiples of 1/64, the same in float32 and float64, none zero."""
    values = np.random.default_rng(seed).integers(1, 64, int(np.prod(shape, initial=1)))
    signs = np.where(np.arange(values.size) % 3 == 1, -1, 1)
    return f"{{{', '.join(str(value / 64) for value in values * signs)}}}"


def write_constant(name: str, *shape: int, values: str | None = None) -> str:
    """One initialiser, as text."""
    written = ",".join(str(size) for size in shape)
    body = values or write_numbers(*shape, seed=sum(map(ord, name)))
    return f"float{f'[{written}]' if shape else ''} {name} = {body}"


def write_graph(body: str, *constants: str, x: str = IMAGE, y: str = IMAGE) -> str:
    """A graph from `x` to `y`, as text."""
    head = '<ir_version: 10, opset_import: ["" : 20]> tested'
    return f"{head} ({x} x) => ({y} y) <{', '.join(constants)}> {{ {body} }}"


def parse_graph(text: str) -> ir.Model:
    """The graph with its shapes inferred."""
    return ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text), strict_mode=True))


def apply_rule(rule: Rule, text: str) -> OptimisedGraph:
    """What one rule makes of the graph, until it rests."""
    return optimise(parse_graph(text), rules=[rule])


def list_operators(optimised: OptimisedGraph) -> list[str]:
    """The graph's operators, in order."""
    return [node.op_type for node in optimised.model.graph]


def list_reasons(optimised: OptimisedGraph) -> list[str]:
    """Why the rule declined, at each node."""
    return [refusal.reason for refusal in optimised.refusals]


def run_graph(model: ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes."""
    return Session(serialise(model), list(feeds)).run(list(feeds.values()))


def make_samples(shape: tuple[int, ...] = (3, 4, 6, 6)) -> Array:
    """Random numbers and CORNERS, in float32."""
    values = np.random.default_rng(1).standard_normal(shape)
    values.reshape(-1)[: len(CORNERS)] = CORNERS[: values.size]
    return values.astype(np.float32)


def run_in_float64(text: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What the graph means, computed in float64 by the reference implementation of ONNX."""
    model = onnx.parser.parse_model(text.replace("float[", "double[").replace("float ", "double "))
    evaluator = ReferenceEvaluator(model)
    wide = {name: value.astype(np.float64) for name, value in feeds.items()}
    with np.errstate(all="ignore"):
        return dict(zip(evaluator.output_names, evaluator.run(None, wide), strict=True))


def assert_same_values(
    optimised: OptimisedGraph, text: str, x: Array | None = None, tolerance: float = 2e-6
) -> None:
    """The rewritten graph agrees with the one it came from, and with float64, within a share of the scale."""
    feeds = {"x": make_samples() if x is None else x}
    before, after, meant = (
        run_graph(parse_graph(text), feeds)["y"],
        run_graph(optimised.model, feeds)["y"],
        run_in_float64(text, feeds)["y"],
    )
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    size = 1 + np.abs(meant)
    assert np.all(np.abs(after - before) <= tolerance * size)
    assert np.all(np.abs(after - meant) <= max(tolerance, ROUNDING) * size)

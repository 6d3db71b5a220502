"""Random small graphs: whatever the rules make of them computes the same, and is at rest."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from convert.artefact.file import serialise
from convert.rewriting.optimise import FIRINGS_PER_NODE, optimise
from tests.convert.graphs import ROWS, parse_graph, run_graph, write_constant, write_graph

WIDE = "float[N,4,5,5]"
# Few enough to meet again in one graph, so that terms, knots and scales agree, cancel and vanish.
NUMBERS = ("0", "1", "-1", "0.5", "2", "-0.75", "1.5")
UNARY = (
    *("Relu({})", "Tanh({})", "Sigmoid({})", "Abs({})", "Neg({})", "Elu({})", "Elu<alpha = 1.5>({})"),
    *("LeakyRelu<alpha = 0.25>({})", "Mish({})", "Softplus({})", "Sin({})", "Identity({})"),
    *("Erf({})", "Clip({}, lo)", "Clip({}, , lo)", "Clip({}, lo, hi)", "Selu({})", "Celu<alpha = 0.5>({})"),
    *("HardSigmoid({})", "HardSwish({})", "Pow({}, hi)", "PRelu({}, slope)"),
)
CONSTANT = (
    *("Mul({}, {k})", "Mul({k}, {})", "Add({}, {k})", "Sub({}, {k})", "Sub({k}, {})"),
    *("Min({}, {k})", "Max({}, {k})", "Max({k}, {})"),
)
BINARY = ("Add({}, {})", "Sub({}, {})", "Mul({}, {})", "Max({}, {})", "Min({}, {})")
IMAGE = (
    *("Conv<pads = [1,1,1,1]>({}, w3, b)", "Conv({}, w1, b)", "Conv<group = 4>({}, depth)"),
    *("BatchNormalization({}, b, b, b, v)", "MaxPool<kernel_shape = [3,3], pads = [1,1,1,1]>({})"),
    "AveragePool<kernel_shape = [3,3], pads = [1,1,1,1]>({})",
    *("ConvTranspose<pads = [1,1,1,1]>({}, w3, b)", "InstanceNormalization({}, b, b)"),
)
DENSE = (
    *("Gemm({}, w2, b)", "Gemm<transB = 1, alpha = 0.5>({}, w2)", "MatMul({}, w2)"),
    *("BatchNormalization({}, b, b, b, v)", "LayerNormalization({}, b, b)"),
)
WEIGHTS = (
    *(
        write_constant("w3", 4, 4, 3, 3),
        write_constant("w1", 4, 4, 1, 1),
        write_constant("depth", 4, 1, 1, 1),
    ),
    *(write_constant("w2", 4, 4), write_constant("b", 4), write_constant("v", 4, values="{1, 0.5, 2, 0.25}")),
    *(write_constant("lo", values="{-0.5}"), write_constant("hi", values="{2}")),
)
SLOPES = {kind: write_constant("slope", *shape) for kind, shape in ((ROWS, (4,)), (WIDE, (4, 1, 1)))}


@dataclass
class _Drawn:
    body: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)


@st.composite
def draw_graphs(draw: st.DrawFn, linear: tuple[str, ...], kind: str) -> str:
    """A graph of up to twelve operators, each of which reads values that came before it, as text."""
    drawn, values = _Drawn(), ["x"]
    for number in range(draw(st.integers(3, 12))):
        form = draw(st.sampled_from((*UNARY, *CONSTANT, *CONSTANT, *BINARY, *BINARY, *linear, *linear)))
        # What is recent is read more often, so that chains grow.
        reads = [draw(st.sampled_from(values[-4:])) for _ in range(form.count("{}"))]
        name = f"k{number}"
        if "{k}" in form:
            drawn.constants.append(draw(_list_constants(name, kind)))
        drawn.body.append(f"v{number} = {form.format(*reads, k=name)}")
        values.append(f"v{number}")
    return write_graph(
        " ".join([*drawn.body, f"y = Identity({values[-1]})"]),
        *WEIGHTS,
        SLOPES[kind],
        *drawn.constants,
        x=kind,
        y=kind,
    )


@st.composite
def _list_constants(draw: st.DrawFn, name: str, kind: str) -> str:
    shape = draw(st.sampled_from([(), (4,) if kind == ROWS else (4, 1, 1)]))
    numbers = draw(
        st.lists(st.sampled_from(NUMBERS), min_size=len(shape) * 3 + 1 if shape == () else 4, max_size=4)
    )
    return write_constant(name, *shape, values=f"{{{', '.join(numbers[: 4 if shape else 1])}}}")


def _run_in_float64(text: str, x: np.ndarray) -> tuple[np.ndarray, float]:
    """(y in float64, the largest magnitude of any value on the way)."""
    model = onnx.parser.parse_model(text.replace("float[", "double[").replace("float ", "double "))
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(model).run(None, {"x": x.astype(np.float64)}, intermediate=True)
    values: dict[str, np.ndarray] = dict(found)
    sizes = [np.abs(value).max() for value in values.values() if value is not None and value.size]
    return values["y"], float(max(sizes))


@pytest.mark.slow
@pytest.mark.parametrize(("linear", "kind", "shape"), [(IMAGE, WIDE, (2, 4, 5, 5)), (DENSE, ROWS, (6, 4))])
def test_the_rules_keep_the_values_of_any_graph(
    linear: tuple[str, ...], kind: str, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(draw_graphs(linear, kind))
    def check(text: str) -> None:
        given_graph = parse_graph(text)
        optimised = optimise(given_graph)
        assert len(optimised.firings) < FIRINGS_PER_NODE * given_graph.graph.num_nodes()
        onnx.checker.check_model(onnx.load_model_from_string(serialise(optimised.model)))
        meant, largest = _run_in_float64(text, x)
        before, after = (run_graph(model, {"x": x})["y"] for model in (given_graph, optimised.model))
        own = float(np.abs(before - meant).max())
        assert np.abs(after - meant).max() <= 16 * own + 3e-5 * max(largest, 1), text

    check()


LINES = (
    *("Relu({})", "Abs({})", "Neg({})", "LeakyRelu<alpha = 0.25>({})", "PRelu({}, slope)"),
    *("Clip({}, lo, hi)", "Clip({}, , hi)", *CONSTANT, "Add({}, {})", "Sub({}, {})", "Max({}, {})"),
)


@st.composite
def draw_functions(draw: st.DrawFn) -> str:
    """A piecewise linear function of the image between two convolutions, as text."""
    drawn, values = _Drawn(), ["c"]
    for number in range(draw(st.integers(2, 9))):
        form = draw(st.sampled_from(LINES))
        if "{k}" in form:
            drawn.constants.append(draw(_list_constants(f"k{number}", WIDE)))
        reads = [draw(st.sampled_from((*values[-3:], "c"))) for _ in range(form.count("{}"))]
        drawn.body.append(f"v{number} = {form.format(*reads, k=f'k{number}')}")
        values.append(f"v{number}")
    body = f"c = Conv(x, w1, b) {' '.join(drawn.body)} y = Conv({values[-1]}, w1, b)"
    return write_graph(body, *WEIGHTS, SLOPES[WIDE], *drawn.constants, x=WIDE, y=WIDE)


@pytest.mark.slow
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(draw_functions())
def test_any_piecewise_linear_function_computes_the_same(text: str) -> None:
    x = np.random.default_rng(3).standard_normal((2, 4, 5, 5)).astype(np.float32)
    optimised = optimise(parse_graph(text))
    meant, largest = _run_in_float64(text, x)
    after = run_graph(optimised.model, {"x": x})["y"]
    assert np.abs(after - meant).max() <= 3e-5 * max(largest, 1), text
    assert not optimise(optimised.model).firings


@pytest.mark.slow
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(draw_graphs(IMAGE, WIDE))
def test_the_rules_leave_nothing_to_do(text: str) -> None:
    once = optimise(parse_graph(text))
    assert not optimise(once.model).firings

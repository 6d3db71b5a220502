"""Before a step, such as `Floor`, rules keep every bit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convert.model_io.inputs import parse_input
from convert.rewriting.optimise import REACHES_STEP, optimise
from convert.rules import RULES
from tests.convert.graphs import ROWS, parse_graph, run_graph, write_constant, write_graph
from tests.convert.models import optimise_model

EXACT = {rule.name for rule in RULES if rule.is_exact}
DIVISOR = write_constant("c", values="{110}")
# Multiples of the divisor, and their neighbours among the float32 numbers.
MULTIPLES = np.float32(110) * np.arange(-3, 5, dtype=np.float32).reshape(2, 4)
X = np.concatenate([MULTIPLES, np.nextafter(MULTIPLES, np.float32(np.inf))])
STEPS = (
    *("y = Floor(d)", "y = Ceil(d)", "y = Round(d)", "y = Sign(d)", "s = Sin(d) y = Floor(s)"),
    *("i = Cast<to = 7>(d) y = Cast<to = 1>(i)", "b = GreaterOrEqual(d, o) y = Cast<to = 1>(b)"),
    *("b = Equal(d, o) y = Cast<to = 1>(b)", "b = Less(d, o) y = Where(b, x, o)", "y = Mod<fmod = 1>(d, o)"),
    "i = ArgMax<axis = 1>(d) y = Cast<to = 1>(i)",
    *("y = Shrink<lambd = 1.0>(d)", "y = ThresholdedRelu<alpha = 1.0>(d)"),
    *("g = MatMul(d, whole) y = Floor(g)", "g = Gemm(d, whole, half) y = Floor(g)"),
)
ONE = write_constant("o", values="{1}")
HALF = write_constant("half", 4, values="{0.5, 0.5, 0.5, 0.5}")
WHOLE, PART = (
    write_constant(name, 4, 4, values=f"{{{', '.join([number] * 16)}}}")
    for name, number in (("whole", "2"), ("part", "0.3"))
)


def write_rows(body: str, *constants: str) -> str:
    return write_graph(body, *constants, x=ROWS, y="float[N,M]")


@pytest.mark.parametrize("step", STEPS)
def test_a_quotient_before_a_step_is_left_alone(step: str) -> None:
    graph = parse_graph(write_rows(f"d = Div(x, c) {step}", DIVISOR, ONE, WHOLE, HALF))
    optimised = optimise(graph)
    assert optimised.count_firings() == {}
    before, after = (run_graph(model, {"x": X})["y"] for model in (graph, optimised.model))
    np.testing.assert_array_equal(after, before)


def test_a_rule_that_a_step_holds_back_is_declined_with_the_reason() -> None:
    graph = parse_graph(write_rows("d = Div(x, c) y = Floor(d)", DIVISOR))
    assert [(each.rule, each.reason) for each in optimise(graph).refusals] == [
        ("division_to_multiplication", REACHES_STEP)
    ]
    assert [node.op_type for node in optimise(graph).model.graph] == ["Div", "Floor"]


def test_a_rule_that_would_not_fire_anyway_is_not_declined() -> None:
    graph = parse_graph(write_rows("d = Div(c, x) y = Floor(d)", DIVISOR))
    assert optimise(graph).refusals == ()


@pytest.mark.parametrize(
    "body",
    [
        "d = Div(x, c) y = Sin(d)",
        "d = Div(x, c) g = MatMul(d, part) y = Floor(g)",
        "d = Div(x, c) g = Softmax(d) y = Round(g)",
        "f = Floor(x) y = Div(f, c)",
    ],
)
def test_elsewhere_it_becomes_a_product(body: str) -> None:
    optimised = optimise(parse_graph(write_rows(body, DIVISOR, PART)))
    assert "Div" not in [node.op_type for node in optimised.model.graph]


IMAGE = "float[N,4,6,6]"


@pytest.mark.parametrize(
    ("reader", "size", "fires"),
    [
        ('y = Resize<mode = "nearest">(d, , twice)', "float[N,4,12,12]", True),
        ("y = MaxPool<kernel_shape = [2, 2]>(d)", "float[N,4,5,5]", True),
        ("p, i = MaxPool<kernel_shape = [2, 2]>(d) y = Cast<to = 1>(i)", "float[N,4,5,5]", False),
    ],
)
def test_values_that_are_only_moved_reach_no_step(reader: str, size: str, fires: bool) -> None:
    twice = write_constant("twice", 4, values="{1, 1, 2, 2}")
    graph = parse_graph(write_graph(f"d = Div(x, c) {reader}", DIVISOR, twice, x=IMAGE, y=size))
    assert bool(optimise(graph).firings) == fires


@pytest.mark.parametrize(("other", "fires"), [("Floor", False), ("Sin", True)])
def test_a_layer_whose_result_reaches_a_step_keeps_its_weights(other: str, fires: bool) -> None:
    body = f"h = Gemm(x, part) u = Mul(h, k) v = Sin(u) s = Add(h, v) y = {other}(s)"
    scale = write_constant("k", 4, values="{0.5, 2, 1.5, 0.75}")
    firings = optimise(parse_graph(write_rows(body, scale, PART))).count_firings()
    assert ("inner_scale_into_previous" in firings) == fires


def test_the_condition_of_a_formula_is_no_step_of_it() -> None:
    body = "z = Mul(x, k) b = Greater(x, zero) y = Where(b, x, z)"
    constants = write_constant("k", values="{0.25}"), write_constant("zero", values="{0}")
    optimised = optimise(parse_graph(write_rows(body, *constants)))
    assert "where_to_prelu" in optimised.count_firings()


def test_a_value_that_a_body_reads_is_left_alone() -> None:
    body = (
        "d = Div(x, c) b = Cast<to = 9>(o) "
        "y = If(b) <then_branch = t () => (float[N,M] u) { u = Floor(d) }, "
        "else_branch = e () => (float[N,M] v) { v = Ceil(d) }>"
    )
    assert optimise(parse_graph(write_rows(body, DIVISOR, ONE))).count_firings() == {}


class Function(nn.Module):
    """A function of rows."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "divisor"),
    [
        (lambda x, c: torch.floor(x / c), 110.0),
        (torch.remainder, 41.0),
        (lambda x, c: torch.div(x, c, rounding_mode="floor"), 110.0),
        (lambda x, c: (x / c).to(torch.int64).float(), 41.0),
        (lambda x, c: torch.where(x / c >= 1, x, -x), 110.0),
    ],
    ids=["floor", "remainder", "div", "to", "where"],
)
def test_a_division_of_torch_is_right_at_multiples(
    function: Callable[[Tensor, float], Tensor], divisor: float
) -> None:
    model = Function(lambda x: function(x, divisor)).eval()
    optimised = optimise_model(model, parse_input("x:float32[N,8]"))
    x = np.float32(divisor) * np.arange(-400, 400, dtype=np.float32).reshape(-1, 8)
    (got,) = run_graph(optimised.model, {"x": x}).values()
    np.testing.assert_array_equal(got, model(torch.from_numpy(x)).numpy())


FORMS = (
    *("Mul({}, {k})", "Div({}, {k})", "Add({}, {k})", "Sub({k}, {})", "Max({}, {k})", "Relu({})", "Neg({})"),
    *("Add({}, {})", "Sub({}, {})", "Max({}, {})", "Elu<alpha = 0.7>({})", "LeakyRelu<alpha = 0.25>({})"),
    *(
        "Sigmoid({})",
        "Softplus({})",
        "Mish({})",
        "Selu({})",
        "Pow({}, two)",
        "PRelu({}, slope)",
        "Identity({})",
    ),
    *("Clip({}, low, two)", "Erf({})", "Tanh({})"),
)
SHARED = (
    write_constant("two", values="{2}"),
    write_constant("low", values="{-0.5}"),
    write_constant("slope", 4, values="{0.1, 0.3, 1.7, -0.2}"),
)


@st.composite
def draw_bodies(draw: st.DrawFn) -> tuple[str, tuple[str, ...]]:
    """(A chain of operators up to v, the constants in it), as text."""
    body, constants, values = [], [], ["x"]
    for number in range(draw(st.integers(2, 8))):
        form = draw(st.sampled_from(FORMS))
        reads = [draw(st.sampled_from(values[-3:])) for _ in range(form.count("{}"))]
        name = f"k{number}"
        if "{k}" in form:
            value = draw(st.sampled_from(("3", "41", "110", "-0.7", "0.5", "1", "0")))
            constants.append(
                write_constant(name, values=f"{{{'7' if value == '0' and 'Div' in form else value}}}")
            )
        body.append(f"v{number} = {form.format(*reads, k=name)}")
        values.append(f"v{number}")
    return " ".join([*body, f"v = Identity({values[-1]})"]), tuple(constants)


@pytest.mark.slow
def test_only_exact_rules_fire_before_a_step_in_any_graph() -> None:
    fired: set[str] = set()

    @settings(max_examples=150, derandomize=True, deadline=None, database=None)
    @given(draw_bodies(), st.sampled_from(("Floor", "Ceil", "Round", "Sign")))
    def check(drawn: tuple[str, tuple[str, ...]], step: str) -> None:
        body, constants = drawn
        fired.update(
            optimise(parse_graph(write_rows(f"{body} y = Sin(v)", *constants, *SHARED))).count_firings()
        )
        graph = parse_graph(write_rows(f"{body} y = {step}(v)", *constants, *SHARED))
        optimised = optimise(graph)
        assert set(optimised.count_firings()) <= EXACT, body
        before, after = (run_graph(model, {"x": X})["y"] for model in (graph, optimised.model))
        np.testing.assert_array_equal(after, before, err_msg=body)

    check()
    # The graphs are such that many rules which round would fire, were it not for the step.
    assert len(fired - EXACT) >= 10

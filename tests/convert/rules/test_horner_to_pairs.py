import numpy as np
import pytest

from convert.rewriting.optimise import optimise
from convert.rewriting.plan import FormPlan, default_forms
from convert.rules.horner_to_pairs import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    parse_graph,
    run_graph,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)
BOUNDS = [write_constant("low", values="{-10}"), write_constant("high", values="{10}")]


def write_polynomial(*coefficients: float | None, ends: str = "") -> str:
    """Horner's scheme of what a Clip after a convolution gives; None is a coefficient that is left out."""
    *lower, _ = coefficients
    body = f"d = {CONV}(x, w) c = Clip(d, low, high) p0 = Mul(c, k{len(lower)})"
    names = [f"k{len(lower)}"]
    for step, coefficient in enumerate(reversed(lower)):
        power = len(lower) - 1 - step
        name = f"p{step}"
        if coefficient is not None:
            names.append(f"k{power}")
            body += f" s{step} = Add({name}, k{power})"
            name = f"s{step}"
        body += f" p{step + 1} = Mul(c, {name})" if power else f" top = Identity({name})"
    values = {f"k{power}": value for power, value in enumerate(coefficients)}
    constants = [write_constant(name, values=f"{{{values[name]}}}") for name in names]
    return write_graph(f"{body} {ends or f'y = {CONV}(top, w)'}", WEIGHTS, *BOUNDS, *constants)


@pytest.mark.parametrize(
    ("coefficients", "operators"),
    [
        ((0.5, -2, 0.25, 3), ["Mul", *("Mul", "Add") * 2, "Mul", "Add"]),
        ((0.5, -2, 0.25, 3, -1), ["Mul", *("Mul", "Add") * 3, "Mul", "Add"]),
        ((0.5, -2, 0.25, 3, -1, 2), ["Mul", *("Mul", "Add") * 3, *("Mul", "Add") * 2]),
        ((None, -2, None, 3), ["Mul", "Mul", "Mul", "Mul", "Add"]),
        ((None, None, 0.25, 3), ["Mul", "Mul", "Add", "Mul"]),
    ],
)
def test_a_polynomial_is_summed_in_pairs(
    coefficients: tuple[float | None, ...], operators: list[str]
) -> None:
    text = write_polynomial(*coefficients)
    optimised = apply_rule(RULE, text)
    assert optimised.count_firings() == {"horner_to_pairs": 1}
    written = [name for name in list_operators(optimised) if name not in {"Conv", "Clip", "Identity"}]
    assert sorted(written) == sorted(operators)
    samples = make_samples().copy()
    assert_same_values(optimised, text, samples / 4, tolerance=1e-5)
    for place, extreme in enumerate((0.0, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan)):
        samples.reshape(len(samples), -1)[:, place] = extreme
    before, after = (run_graph(graph, {"x": samples})["y"] for graph in (parse_graph(text), optimised.model))
    scale = np.nanmax(np.abs(before))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * scale, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (write_polynomial(0.5, -2, 3), []),  # a pair and a square are no fewer passes
        (write_polynomial(0.5, -2, 0.25, 3, ends="e = Abs(p1) y = Add(e, top)"), []),  # a part is read too
        (
            write_polynomial(0.5, -2, 0.25, 3).replace("Clip(d, low, high)", "Clip(d, low)"),
            ["its input is not bounded: infinities of both signs would meet"],
        ),
        (
            write_polynomial(0.5, -2, 0.25, 3).replace("{10}", "{3e38}"),
            ["a power of its input leaves the range of float32"],
        ),
        (
            write_polynomial(0.5, -2, 0.25, 3).replace("float k1 = {-2}", "float[6] k1 = {1, 2, 3, 4, 5, 6}"),
            ["a constant of shape [6] is not one number for each of 4 channels"],
        ),
        (write_polynomial(0.5, -2, 0.25, 3).replace(f"d = {CONV}(x, w)", "d = Abs(x)"), []),
        (write_polynomial(*[0.5] * 100), []),  # a graph may be deep
    ],
)
def test_it_leaves_what_gains_nothing_or_is_not_the_same(text: str, reasons: list[str]) -> None:
    optimised = apply_rule(RULE, text)
    assert not optimised.firings
    assert list_reasons(optimised) == reasons


def test_coefficients_may_differ_between_channels() -> None:
    text = write_polynomial(0.5, -2, 0.25, 3).replace("float k2 = {0.25}", write_constant("k2", 4, 1, 1))
    optimised = apply_rule(RULE, text)
    assert len(optimised.firings) == 1
    assert_same_values(optimised, text, make_samples() / 4, tolerance=1e-5)


def test_the_plan_of_another_provider_keeps_horners_scheme() -> None:
    graph = parse_graph(write_polynomial(0.5, -2, 0.25, 3, -1, 2))
    for provider, fires in (("cpu", True), ("openvino", False), ("cuda", False)):
        optimised = optimise(graph, plan=FormPlan(default_forms(provider)))
        assert ("horner_to_pairs" in optimised.count_firings()) == fires

import re
from pathlib import Path

import pytest

from convert.artefact.file import serialise
from convert.rewriting.optimise import Firing, find_breaking, optimise
from convert.rules import RULES
from tests.convert.graphs import (
    assert_same_values,
    list_operators,
    make_samples,
    parse_graph,
    write_constant,
    write_graph,
)

CHAIN = write_graph(
    "c = Conv<pads = [1,1,1,1]>(x, w) d = Div(c, s) e = Elu(d) m = Mul(e, s) "
    "y = Conv<pads = [1,1,1,1]>(m, w)",
    write_constant("w", 4, 4, 3, 3),
    write_constant("s", 4, 1, 1),
)


def test_a_scaled_elu_between_convolutions_loses_its_scale() -> None:
    optimised = optimise(parse_graph(CHAIN))
    assert list_operators(optimised) == ["Conv", "Clip", "Exp", "Relu", "Conv", "Add", "Conv"]
    assert optimised.count_firings() == {
        "scale_into_previous": 1,
        "scale_into_next": 1,
        "elu_to_exp": 1,
        "bound_to_clip": 1,
        "plain_term_to_convolution": 1,
    }
    assert_same_values(optimised, CHAIN, make_samples().clip(-3, 3), tolerance=3e-5)


def test_the_argument_is_left_as_it_is() -> None:
    model = parse_graph(CHAIN)
    before = serialise(model)
    optimise(model)
    assert serialise(model) == before


def test_it_stops_after_as_many_firings_as_it_may() -> None:
    all_of_them = optimise(parse_graph(CHAIN)).firings
    for limit in range(len(all_of_them) + 1):
        assert optimise(parse_graph(CHAIN), limit=limit).firings == all_of_them[:limit]


@pytest.mark.parametrize("broken", range(1, 8))
def test_the_firing_that_breaks_the_graph_is_found(broken: int) -> None:
    firings = [Firing(f"rule_{place}", "") for place in range(1, 8)]
    assert find_breaking(firings, lambda count: count < broken) == firings[broken - 1]


def test_no_firing_breaks_a_graph_that_stands() -> None:
    firings = [Firing(f"rule_{place}", "") for place in range(1, 8)]
    assert find_breaking(firings, lambda count: True) is None
    assert find_breaking([], lambda count: True) is None


def test_constants_inside_the_graph_are_constants_to_the_rules() -> None:
    text = write_graph("one = Constant<value_float = 1.0>() r = Relu(x) m = Mul(r, one) y = Relu(m)")
    assert list_operators(optimise(parse_graph(text))) == ["Relu", "Relu"]


def test_a_default_that_a_caller_may_override_is_not_a_constant() -> None:
    text = write_graph(
        "m = Mul(x, s) y = Relu(m)", write_constant("s", values="{1}"), x="float s, float[N,4,6,6]"
    )
    assert list_operators(optimise(parse_graph(text))) == ["Mul", "Relu"]


def test_firings_and_refusals_name_their_layer() -> None:
    model = parse_graph(write_graph("e = Elu(x) y = Mul(e, e)", x="float[N,4]", y="float[N,4]"))
    model.graph[0].metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'features', 'features.3', 'elu']"
    (refusal,) = optimise(model).refusals
    assert (refusal.rule, refusal.layer) == ("elu_to_exp", "features.3")


def test_another_domains_operators_are_left_alone() -> None:
    model = parse_graph(write_graph("y = Mish(x)"))
    model.graph[0].domain = "custom"
    assert not optimise(model).firings


@pytest.mark.parametrize(
    ("body", "place"),
    [("h = MatMul(x, w) a = Add(h, s) y = Mul(a, s)", 0), ("h = Mul(x, s) y = MatMul(h, w)", 1)],
)
def test_a_neighbour_of_another_domain_is_not_taken_for_its_namesake(body: str, place: int) -> None:
    constants = (write_constant("w", 4, 4), write_constant("s", 4))
    text = write_graph(body, *constants, x="float[N,4]", y="float[N,4]")
    assert optimise(parse_graph(text)).firings
    model = parse_graph(text)
    model.graph[place].domain = "custom"
    optimised = optimise(model)
    assert not optimised.firings
    assert [node.domain for node in optimised.model.graph if node.op_type == "MatMul"] == ["custom"]


def test_every_rule_has_a_name_of_its_own_and_that_of_its_file() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.rewrite.__module__ == f"convert.rules.{rule.name}"


def test_every_rule_has_its_row_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "converting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| .+ \| .+ \|$", page, flags=re.MULTILINE)
    assert [row for row in rows if row in {rule.name for rule in RULES}] == [rule.name for rule in RULES]


def test_an_unused_node_is_not_a_reader() -> None:
    text = write_graph(
        "m = Mul(x, s) n = Relu(m) y = Conv(m, w)", write_constant("s"), write_constant("w", 4, 4, 1, 1)
    )
    assert list_operators(optimise(parse_graph(text))) == ["Conv"]


def test_a_rule_waits_for_those_before_it_to_rest() -> None:
    text = write_graph(
        "c = Conv(x, w) m = Mul(c, s) r = Relu(m) n = Mul(r, s) a = Add(n, s) y = Conv(a, w)",
        write_constant("s", values="{0.5}"),
        write_constant("w", 4, 4, 1, 1),
    )
    assert list_operators(optimise(parse_graph(text))) == ["Conv", "Relu", "Conv"]

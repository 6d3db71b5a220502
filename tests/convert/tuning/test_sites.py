from convert.rewriting.plan import default_forms
from convert.rules import RULES
from convert.tuning.sites import group_sites
from tests.convert.graphs import parse_graph, write_constant, write_graph

WEIGHTS = (write_constant("w", 4, 4, 1, 1), write_constant("s", 4, 1, 1), write_constant("g", 4, 4))


def list_groups(text: str, provider: str = "cpu") -> dict[tuple[str, str], list[str]]:
    made = group_sites(parse_graph(text), RULES, default_forms(provider))
    return {(group.kind.name, group.where): [site.value for site in group.sites] for group in made}


def test_places_of_a_kind_that_stand_alike_are_a_group() -> None:
    text = write_graph(
        "c = Conv(x, w) e = Elu(c) d = Conv(e, w) f = Elu(d) a = Add(f, e) y = Elu(a)", *WEIGHTS
    )
    of_elu = {group: names for group, names in list_groups(text).items() if group[0] == "Elu"}
    assert of_elu == {("Elu", "image after Conv"): ["e", "f"], ("Elu", "image after Add"): ["y"]}


def test_slopes_a_channel_and_shared_slopes_are_two_kinds() -> None:
    text = write_graph(
        "c = Conv(x, w) p = PRelu(c, s) d = Conv(p, w) l = LeakyRelu(d) m = Mul(l, c) y = Softplus(m)",
        *WEIGHTS,
    )
    assert {kind for kind, _ in list_groups(text)} >= {"PRelu", "LeakyRelu", "Softplus"}


def test_a_kind_without_operators_is_where_its_rule_fires() -> None:
    text = write_graph("c = Conv(x, w) m = Mish(c) y = Conv(m, w)", *WEIGHTS)
    for provider in ("cpu", "cuda"):
        assert list_groups(text, provider)["Mish", ""] == ["m"]


def test_the_group_that_computes_the_most_comes_first() -> None:
    text = write_graph(
        "c = Conv(x, w) e = Elu(c) p = GlobalAveragePool(e) f = Flatten(p) h = Gemm(f, g) y = Elu(h)",
        *WEIGHTS,
        y="float[N,4]",
    )
    of_elu = [group for group in list_groups(text) if group[0] == "Elu"]
    assert of_elu == [("Elu", "image after Conv"), ("Elu", "rows after Gemm")]


def test_a_graph_without_a_choice_has_no_groups() -> None:
    assert not list_groups(write_graph("c = Conv(x, w) y = Relu(c)", *WEIGHTS))

import dataclasses
from pathlib import Path

import pytest

from adaptact.providers.catalogue import PROVIDERS
from convert.manifest.records import TuningRecord
from convert.rewriting.forms import ALTERNATIVES
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import KINDS, LAYOUT, UNCHANGED, FormPlan, default_forms
from convert.rules import RULES
from tests.convert.graphs import list_operators, parse_graph, write_constant, write_graph

BESIDE = write_graph(
    "c = Conv(x, w) e = Elu(c) d = Conv(e, w) y = Elu(d)",
    write_constant("w", 4, 4, 1, 1),
)


def test_every_form_has_one_rule_and_one_kind() -> None:
    rules = [rule.name for rule in (*RULES, *ALTERNATIVES)]
    forms = [form for kind in KINDS for form in kind.forms if form != UNCHANGED]
    assert len(set(forms)) == len(forms)
    assert set(forms) <= set(rules)
    assert {rule.name for rule in ALTERNATIVES} <= set(forms)
    assert set(LAYOUT) <= {rule.name for rule in RULES}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_a_default_form_for_every_kind(provider: str) -> None:
    chosen = default_forms(provider)
    assert list(chosen) == [kind.name for kind in KINDS]
    assert all(chosen[kind.name] in kind.forms for kind in KINDS)
    assert not FormPlan(chosen).alternatives()


def test_the_tables_differ_by_provider() -> None:
    assert list_operators(optimise(parse_graph(BESIDE), plan=FormPlan(default_forms("cuda")))) == [
        "Conv",
        "Elu",
        "Conv",
        "Elu",
    ]
    assert "Elu" not in list_operators(optimise(parse_graph(BESIDE), plan=FormPlan(default_forms("cpu"))))
    forms = default_forms("openvino")
    assert {forms[kind] for kind in ("Elu", "PRelu", "Mish")} == {UNCHANGED}
    assert forms["Softplus"] == "softplus_to_log"  # its own kernel there has no digits left below -15


def test_without_a_plan_it_is_the_cpus_table() -> None:
    assert (
        optimise(parse_graph(BESIDE)).firings
        == optimise(parse_graph(BESIDE), plan=FormPlan(default_forms("cpu"))).firings
    )


def test_one_place_may_take_another_form_than_its_kind() -> None:
    plan = FormPlan().with_form([("Elu", "e")], UNCHANGED)
    assert list_operators(optimise(parse_graph(BESIDE), plan=plan)) == [
        "Conv",
        "Elu",
        "Conv",
        "Clip",
        "Exp",
        "Sub",
        "Max",
    ]
    plan = plan.with_form([("Elu", "y")], "elu_as_sum")
    assert list_operators(optimise(parse_graph(BESIDE), plan=plan))[-5:] == [
        "Relu",
        "Min",
        "Exp",
        "Sub",
        "Add",
    ]


def test_a_plan_without_a_form_takes_the_tables_again() -> None:
    plan = FormPlan().with_form([("Elu", "y")], "elu_as_sum").with_form([("Elu", "e")], UNCHANGED)
    assert plan.without_form("elu_as_sum") == FormPlan().with_form([("Elu", "e")], UNCHANGED)


def test_a_limit_keeps_the_first_firings() -> None:
    plan = FormPlan().with_form([("Elu", "e"), ("Elu", "y")], "elu_as_sum")
    firings = optimise(parse_graph(BESIDE), plan=plan).firings
    assert [firing.rule for firing in firings] == ["elu_as_sum", "elu_as_sum", "plain_term_to_convolution"]
    for limit in range(4):
        assert optimise(parse_graph(BESIDE), limit=limit, plan=plan).firings == firings[:limit]


def test_every_form_and_field_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tuning.md").read_text(encoding="utf-8")
    forms = {form for kind in KINDS for form in kind.forms if form != UNCHANGED}
    fields = {field.name for field in dataclasses.fields(TuningRecord)}
    assert [name for name in sorted(forms | fields) if f"`{name}`" not in page] == []
    assert [kind.name for kind in KINDS if f"`{kind.name}`" not in page] == []

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from serve.experiments.definition import DEFAULT_MARGINS, Experiment, Guardrail, GuardrailKind, Variant
from serve.experiments.parsing import json_schema
from tests.serve.experiments.definitions import make_document, make_experiment


def test_the_least_definition_has_the_documented_defaults() -> None:
    experiment = make_experiment()
    assert experiment.stages.steps == (1, 5, 10, 25, 50)
    assert experiment.stages.shadow_share == 1
    assert experiment.unit_sources == ("header", "parameter", "request")
    assert (experiment.alpha, experiment.planned_units, experiment.on_error) == (0.05, 5000, "return")
    assert not any((experiment.metrics, experiment.guardrails, experiment.allow_list, experiment.exclusion))
    assert not any((experiment.auto_promote, experiment.fixed_horizon))
    assert experiment.hide_from_replies == "none"


@pytest.mark.parametrize("kind", DEFAULT_MARGINS)
def test_each_guardrail_has_a_margin_of_its_own(kind: GuardrailKind) -> None:
    guardrail = make_experiment(guardrails=[{"kind": kind}]).guardrails[0]
    assert guardrail.margin == DEFAULT_MARGINS[kind]
    assert guardrail.quantile == (0.95 if kind == "latency" else None)
    assert guardrail.action == "stop"
    assert Guardrail(kind=kind, margin=0.3).margin == 0.3


def test_variants_are_the_control_and_the_candidates() -> None:
    experiment = make_experiment(candidates=[{"name": "a", "version": 3}, {"name": "b", "model": "other"}])
    assert [variant.name for variant in experiment.variants] == ["control", "a", "b"]
    assert [experiment.model_of(variant) for variant in experiment.variants] == ["digits", "digits", "other"]
    assert experiment.find_variant("a") == Variant(name="a", version="3")
    assert experiment.find_variant("c") is None


def test_the_same_model_twice_is_an_experiment_that_tests_itself() -> None:
    make_experiment(candidates=[{"name": "same"}])


def test_a_definition_cannot_be_changed_and_compares_by_its_fields() -> None:
    one, other = make_experiment(), make_experiment()
    assert one.variants
    assert one == other
    assert one != make_experiment(alpha=0.01)
    with pytest.raises(ValidationError, match="frozen"):
        one.alpha = 0.1


def test_it_is_the_same_after_a_way_through_json() -> None:
    experiment = make_experiment(
        metrics=[
            {"name": "bought", "kind": "ratio", "denominator": "visits", "is_primary": True},
            {"name": "time", "kind": "quantile", "quantile": 0.9},
            {"name": "spent", "kind": "mean", "covariate": "shadow_score"},
        ],
        guardrails=[{"kind": "latency"}, {"kind": "latency", "quantile": 0.5}],
        allow_list={"ünit\n1": "candidate"},
        log={"share": 0.5},
    )
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
    assert experiment.needs_shadow_score


def test_inconsistent_fields_are_refused_however_it_is_made() -> None:
    variants = (Variant(name="same"), Variant(name="same"))
    with pytest.raises(ValidationError, match="fields do not fit each other"):
        Experiment(name="exp", model="digits", control=variants[0], candidates=variants[1:])


@pytest.mark.parametrize(
    ("fields", "is_valid"),
    [
        ({}, True),
        ({"candidates": [{"name": "a", "version": 2}]}, True),
        ({"exclusion": {"group": "g", "from_percent": 0, "to_percent": 50}}, True),
        ({"candidates": [{"name": "a", "version": 2.5}]}, False),
        ({"candidates": [{"name": "a", "version": "V2"}]}, False),
        ({"alpha": 1}, False),
        ({"unknown": 1}, False),
        ({"guardrails": [{"kind": "other"}]}, False),
    ],
)
def test_the_json_schema_says_what_is_read(fields: dict[str, Any], is_valid: bool) -> None:
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(make_document(**fields)) == is_valid
    if is_valid:
        make_experiment(**fields)


def test_every_field_of_the_schema_is_explained() -> None:
    schema = json_schema()
    for record in (schema, *schema["$defs"].values()):
        for name, field in record["properties"].items():
            assert len(field.get("description", "")) > 10, name

"""Every mistake of plain data is named; the places in files are in test_reading."""

from typing import Any

import pytest

from serve.experiments.errors import DefinitionError
from serve.experiments.parsing import MAX_MISTAKES, parse_experiment, show_path, suggest
from tests.serve.experiments.definitions import make_document

GROUP = {"group": "g", "from_percent": 0, "to_percent": 10}
MEAN = {"name": "m", "kind": "mean", "is_primary": True}
NAME = "a name of up to 64 letters, digits and `._-`"


def find_mistakes(document: object) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        parse_experiment(document)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, f"`name`: expected {NAME}, got the text `a b`"),
        ({"name": 5}, f"`name`: expected {NAME}, got `5`"),
        ({"name": None}, f"`name`: expected {NAME}, got `null`"),
        ({"name": "a\n"}, f"`name`: expected {NAME}, got the text `a?`"),
        ({"alpa": 0.1}, "expected a known field, got `alpa`; did you mean `alpha`?"),
        ({"Auto-Promote": True}, "expected a known field, got `Auto-Promote`; did you mean `auto_promote`?"),
        ({"alpha": 2}, "`alpha`: expected a number from 0.0001 to 0.5, got `2`"),
        ({"alpha": True}, "`alpha`: expected a number from 0.0001 to 0.5, got `true`"),
        ({"alpha": "0.1"}, "`alpha`: expected a number from 0.0001 to 0.5, got the text `0.1`"),
        ({"alpha": float("nan")}, "`alpha`: expected a number from 0.0001 to 0.5, got `nan`"),
        (
            {"planned_units": 5.5},
            "`planned_units`: expected a whole number from 200 to 10,000,000,000, got `5.5`",
        ),
        ({"on_error": "ignore"}, "`on_error`: expected one of: `return`, `control`, got the text `ignore`"),
        ({"fixed_horizon": "no"}, "`fixed_horizon`: expected `true` or `false`, got the text `no`"),
        ({"candidates": []}, "`candidates`: expected a list of 1 to 8, got a list of 0"),
        ({"candidates": {"a": 1}}, "`candidates`: expected a list of 1 to 8, got a mapping of 1"),
        (
            {"candidates": [{"name": "a", "version": 1.5}]},
            "`candidates[0].version`: expected a version such as `2`, or an alias such as `stable`, or null, "
            "got `1.5`",
        ),
        (
            {"candidates": [{"name": "control"}]},
            "`candidates[0].name`: expected a name of its own, got `control` again",
        ),
        ({"metrics": [MEAN, MEAN]}, "`metrics[1].name`: expected a name of its own, got `m` again"),
        (
            {"metrics": [{"name": "m", "kind": "binray"}]},
            "`metrics[0].kind`: expected one of: `binary`, `mean`, `ratio`, `quantile`, got the "
            "text `binray`; "
            "did you mean `binary`?",
        ),
        ({"metrics": [{"kind": "mean"}]}, f"`metrics[0].name`: expected {NAME}, got nothing"),
        (
            {"metrics": [{"name": "m", "kind": "mean"}]},
            "`metrics`: expected a primary metric, got none among `m`; the verdict depends on "
            "primary metrics: "
            "set `is_primary: true` for one",
        ),
        (
            {"metrics": [{**MEAN, "quantile": 0.5}]},
            "`metrics[0].quantile`: expected nothing, since it is of kind quantile only, got `0.5`; "
            "the kind is "
            "`mean`",
        ),
        (
            {"metrics": [{**MEAN, "kind": "ratio"}]},
            "`metrics[0].denominator`: expected a value, since it is of kind ratio, got none",
        ),
        (
            {"metrics": [{**MEAN, "kind": "ratio", "denominator": "m"}]},
            "`metrics[0].denominator`: expected another metric's name, got `m` itself",
        ),
        (
            {"metrics": [{**MEAN, "is_absent_zero": True}]},
            "`metrics[0].is_absent_zero`: expected false without a window, got true; without a window nobody "
            "knows whether an outcome is still to come: set `window_seconds`",
        ),
        (
            {
                "metrics": [
                    {**MEAN, "kind": "quantile", "quantile": 0.5, "is_absent_zero": True, "window_seconds": 9}
                ]
            },
            "`metrics[0].is_absent_zero`: expected false for any kind but binary and mean, got kind quantile",
        ),
        (
            {"metrics": [{**MEAN, "kind": "ratio", "denominator": "n", "covariate": "shadow_score"}]},
            "`metrics[0].covariate`: expected none for any kind but binary and mean, got kind ratio",
        ),
        (
            {"candidates": [{"name": "b", "model": "other"}], "auto_promote": True},
            "`auto_promote`: expected false for candidates that are another model, got true, and candidate "
            "`b` is the model `other`; put its file beside `digits` as a new version",
        ),
        (
            {"metrics": [{**MEAN, "kind": "binary", "per_unit": "sum"}]},
            "`metrics[0].per_unit`: expected mean for any kind but mean and quantile, got kind binary",
        ),
        (
            {"metrics": [{**MEAN, "equivalence_margin": 0}]},
            "`metrics[0].equivalence_margin`: expected a number above 0, at most 10, or null, got `0`",
        ),
        (
            {"guardrails": [{"kind": "nan"}, {"kind": "nan"}]},
            "`guardrails[1].kind`: expected each guardrail once, got `nan` again",
        ),
        (
            {"guardrails": [{"kind": "latency", "quantile": None}]},
            "`guardrails[0].quantile`: expected a value, since it is of kind latency, got none",
        ),
        (
            {"guardrails": [{"kind": "slow"}]},
            "`guardrails[0].kind`: expected one of: `error_rate`, `latency`, `nan`, `prediction_shift`, "
            "`disagreement`, got the text `slow`",
        ),
        (
            {"guardrails": [{"kind": "nan", "margin": 1}, {"kind": "latency", "margin": 1}]},
            "`guardrails[0].margin`: expected a share below 1, got `1.0`",
        ),
        (
            {"stages": {"steps": [5, 1]}},
            "`stages.steps[1]`: expected more than the step before, 5, got `1.0`",
        ),
        ({"stages": {"steps": [0]}}, "`stages.steps[0]`: expected a number from 0.01 to 100, got `0`"),
        (
            {"exclusion": GROUP},
            "`exclusion`: expected a range as wide as the greatest step, 50 %, got 10 %; widen the range, or "
            "leave out the steps that do not fit",
        ),
        (
            {"unit_sources": ["request", "header"]},
            "`unit_sources[0]`: expected `request` as the last source, got another one after it; "
            "every request "
            "has an identity, so no source after it is looked at",
        ),
        (
            {"unit_sources": ["header", "header"]},
            "`unit_sources[1]`: expected each source once, got `header` again",
        ),
        (
            {"allow_list": {"unit.7": "other"}},
            "`allow_list[unit.7]`: expected a variant, one of: `control`, `candidate`, got `other`",
        ),
        (
            {"allow_list": {" anna": "control"}},
            "`allow_list[ anna]`: expected a unit without spaces around it, got ` anna`",
        ),
        (
            {"allow_list": {"": "control"}},
            "`allow_list`: expected keys of 1 to 512 characters, got the text ``",
        ),
        ({"allow_list": {5: "control"}}, "`allow_list`: expected keys of 1 to 512 characters, got `5`"),
        ({"allow_list": []}, "`allow_list`: expected a mapping of up to 10,000, got a list of 0"),
        ({"log": 5}, "`log`: expected a mapping with the fields `share`, `retention_days`, or null, got `5`"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_mistake_says_where_what_is_expected_and_what_is_there(
    fields: dict[str, Any], message: str
) -> None:
    assert find_mistakes(make_document(**fields)) == [message]


@pytest.mark.parametrize("document", [None, [], "text", 5, b"\x00", {1: 2}])
def test_something_else_than_a_mapping_is_refused(document: object) -> None:
    assert "expected" in find_mistakes(document)[0]


def test_all_mistakes_are_named_at_once() -> None:
    found = find_mistakes(make_document(name="", alpha=5, candidates=[{"name": "a", "version": 0}]))
    assert [mistake.partition(":")[0] for mistake in found] == [
        "`name`",
        "`candidates[0].version`",
        "`alpha`",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": [{}] * 1000},
        {"allow_list": {str(number): "none" for number in range(10_000)}},
        {"allow_list": {str(number): "control" for number in range(10_001)}},
        {"name": "x" * 10**6},
        {"x" * 10**6: 1},
        {"\x1b[2J": 1},
        {"log": {"\x1b": {"\n": "\r"}}},
    ],
    ids=lambda fields: next(iter(fields))[:20].strip("\x1b"),
)
def test_hostile_definitions_give_bounded_printable_messages(fields: dict[str, Any]) -> None:
    found = find_mistakes(make_document(**fields))
    assert len(found) <= MAX_MISTAKES
    assert all(len(mistake) < 700 and mistake.isprintable() for mistake in found)


def test_a_deep_definition_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert find_mistakes(make_document(metrics=deep))
    assert find_mistakes(deep)


def test_paths_are_shown_as_people_write_them() -> None:
    assert show_path(("metrics", 0, "kind")) == "metrics[0].kind"
    assert show_path(("allow_list", "a b")) == "allow_list[a b]"
    assert show_path(()) == ""


def test_only_close_names_are_suggested() -> None:
    assert suggest("directon", ["direction", "kind"]) == "did you mean `direction`?"
    assert suggest("zzz", ["direction", "kind"]) == ""

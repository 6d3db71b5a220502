"""Fields of a definition that do not fit each other."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from serve.engine.errors import quote, quote_names
from serve.experiments.units import unit_value

if TYPE_CHECKING:  # `definition` requires its consistency
    from serve.experiments.definition import Experiment, GuardrailKind, Metric

RELATIVE_MARGINS: "tuple[GuardrailKind, ...]" = ("error_rate", "latency")
"""The guardrails whose margin is relative to the control's value; of the others it is a share."""


class Inconsistency(NamedTuple):
    """A field that does not fit another: its path, and the parts of a `Mistake`."""

    path: tuple[str | int, ...]
    expected: str
    got: str
    hint: str = ""


def find_inconsistencies(experiment: "Experiment") -> Iterator[Inconsistency]:
    """All of them, in the order of the fields."""
    checks = (_check_names, _check_stages, _check_metrics, _check_guardrails, _check_promotion, _check_units)
    for check in checks:
        yield from check(experiment)


def _check_names(experiment: "Experiment") -> Iterator[Inconsistency]:
    """Variants and metrics are known by their names."""
    first = {experiment.control.name}
    for place, variant in enumerate(experiment.candidates):
        if variant.name in first:
            path = ("candidates", place, "name")
            yield Inconsistency(path, "a name of its own", f"{quote(variant.name)} again")
        first.add(variant.name)
    metrics: set[str] = set()
    for place, metric in enumerate(experiment.metrics):
        if metric.name in metrics:
            path = ("metrics", place, "name")
            yield Inconsistency(path, "a name of its own", f"{quote(metric.name)} again")
        metrics.add(metric.name)


def _check_value_of_unit(metric: "Metric", place: int) -> Iterator[Inconsistency]:
    """How the outcomes of a unit become one value fits the kind."""
    if metric.is_absent_zero and metric.window_seconds is None:
        path = ("metrics", place, "is_absent_zero")
        hint = "without a window nobody knows whether an outcome is still to come: set `window_seconds`"
        yield Inconsistency(path, "false without a window", "true", hint)
    if metric.is_absent_zero and metric.kind not in ("binary", "mean"):
        path = ("metrics", place, "is_absent_zero")
        yield Inconsistency(path, "false for any kind but binary and mean", f"kind {metric.kind}")
    if metric.per_unit == "sum" and metric.kind not in ("mean", "quantile"):
        path = ("metrics", place, "per_unit")
        yield Inconsistency(path, "mean for any kind but mean and quantile", f"kind {metric.kind}")
    if metric.covariate != "none" and metric.kind not in ("binary", "mean"):
        path = ("metrics", place, "covariate")
        yield Inconsistency(path, "none for any kind but binary and mean", f"kind {metric.kind}")


def _check_metrics(experiment: "Experiment") -> Iterator[Inconsistency]:
    """Each metric has what its kind needs and nothing that belongs to another; one of them is primary."""
    for place, metric in enumerate(experiment.metrics):
        for field, kind in (("quantile", "quantile"), ("denominator", "ratio")):
            value = getattr(metric, field)
            if (metric.kind == kind) != (value is not None):
                yield _misplaced(("metrics", place, field), f"kind {kind}", metric.kind, value)
        yield from _check_value_of_unit(metric, place)
        if metric.denominator == metric.name:
            path = ("metrics", place, "denominator")
            yield Inconsistency(path, "another metric's name", f"{quote(metric.name)} itself")
    if experiment.metrics and not any(metric.is_primary for metric in experiment.metrics):
        names = quote_names([metric.name for metric in experiment.metrics])
        hint = "the verdict depends on primary metrics: set `is_primary: true` for one"
        yield Inconsistency(("metrics",), "a primary metric", f"none among {names}", hint)


def _check_guardrails(experiment: "Experiment") -> Iterator[Inconsistency]:
    """Each harm is watched for once, or latency once for each quantile; shares are below 1."""
    watched: set[tuple[str, float | None]] = set()
    for place, guardrail in enumerate(experiment.guardrails):
        path = ("guardrails", place)
        if (guardrail.kind == "latency") != (guardrail.quantile is not None):
            yield _misplaced((*path, "quantile"), "kind latency", guardrail.kind, guardrail.quantile)
        if guardrail.kind not in RELATIVE_MARGINS and guardrail.margin >= 1:
            yield Inconsistency((*path, "margin"), "a share below 1", quote(guardrail.margin))
        if (guardrail.kind, guardrail.quantile) in watched:
            yield Inconsistency((*path, "kind"), "each guardrail once", f"{quote(guardrail.kind)} again")
        watched.add((guardrail.kind, guardrail.quantile))


def _misplaced(path: tuple[str | int, ...], needed: str, kind: str, value: object) -> Inconsistency:
    """A field that is missing for its kind, or given for another."""
    if value is None:
        return Inconsistency(path, f"a value, since it is of {needed}", "none")
    return Inconsistency(
        path, f"nothing, since it is of {needed} only", quote(value), f"the kind is `{kind}`"
    )


def _check_stages(experiment: "Experiment") -> Iterator[Inconsistency]:
    """The steps rise; the range of a group is as wide as the greatest of them."""
    steps, exclusion = experiment.stages.steps, experiment.exclusion
    for place, (lower, higher) in enumerate(pairwise(steps), 1):
        if higher <= lower:
            path = ("stages", "steps", place)
            yield Inconsistency(path, f"more than the step before, {lower:g}", quote(higher))
    if exclusion and exclusion.width_percent < max(steps):
        expected = f"a range as wide as the greatest step, {max(steps):g} %"
        hint = "widen the range, or leave out the steps that do not fit"
        yield Inconsistency(("exclusion",), expected, f"{exclusion.width_percent:g} %", hint)


def _check_promotion(experiment: "Experiment") -> Iterator[Inconsistency]:
    """Only a version of the model can take its place."""
    model = experiment.model
    others = [variant for variant in experiment.candidates if experiment.model_of(variant) != model]
    if experiment.auto_promote and others:
        got = f"true, and candidate {quote(others[0].name)} is the model {quote(others[0].model)}"
        hint = f"put its file beside {quote(model)} as a new version"
        yield Inconsistency(("auto_promote",), "false for candidates that are another model", got, hint)


def _check_units(experiment: "Experiment") -> Iterator[Inconsistency]:
    """Sources stand once, the request last; allowed units are such as requests can have."""
    sources = experiment.unit_sources
    for place, source in enumerate(sources):
        path = ("unit_sources", place)
        if source in sources[:place]:
            yield Inconsistency(path, "each source once", f"{quote(source)} again")
        elif source == "request" and place < len(sources) - 1:
            hint = "every request has an identity, so no source after it is looked at"
            yield Inconsistency(path, "`request` as the last source", "another one after it", hint)
    names = [variant.name for variant in experiment.variants]
    for unit, name in experiment.allow_list.items():
        entry = ("allow_list", unit)
        if name not in names:
            yield Inconsistency(entry, f"a variant, one of: {quote_names(names)}", quote(name))
        if unit_value(unit) != unit:
            yield Inconsistency(entry, "a unit without spaces around it", quote(unit))

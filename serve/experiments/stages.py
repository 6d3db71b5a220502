"""The stages of an experiment, and which acts lead from one to the next.

draft -> shadow -> ramp, step by step -> promoted or stopped; paused in between. Every change is a new phase.
A new *comparison* begins only where data before and after must not be analysed together: when what is
compared changes, or after a stop. A step of the ramp or a pause begins none, since the shares among the
enrolled stay equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

from serve.engine.errors import quote, quote_names
from serve.experiments.definition import Experiment
from serve.experiments.errors import IncompatibleVariantsError, StageError

Stage: TypeAlias = Literal["draft", "shadow", "ramp", "paused", "stopped", "promoted"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Act: TypeAlias = Literal["start", "advance", "pause", "resume", "stop", "promote", "amend"]
ACTS: tuple[Act, ...] = get_args(Act)

RUNNING: tuple[Stage, ...] = ("shadow", "ramp")
"""In which units meet variants, or requests are mirrored."""

COMPARED = (
    *("model", "control", "candidates", "metrics", "alpha", "planned_units", "fixed_horizon"),
    *("unit_sources", "exclusion", "on_error"),
)
"""The fields whose change begins a new comparison: what is compared, on which units, by which rule.

Not among them: guardrails, each of which is judged by its margin on all data of the comparison, and the
allow-list, whose few units are not analysed from then on.
"""


class Change(NamedTuple):
    """Who changes an experiment, when (microseconds since 1970, UTC) and why."""

    at: int
    by: str
    reason: str = ""


class Pin(NamedTuple):
    """The one version that stands for a variant as long as a comparison lasts."""

    model: str
    version: str
    """Its number."""
    digest: str = ""
    """SHA-256 of its files, in hexadecimal; empty where it is not known."""
    at: int = 0
    """When it was pinned, in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A time during which nothing of an experiment changes."""

    number: int
    """From 1; every change adds one."""
    comparison: int
    """From 1; phases of one comparison are analysed together."""
    stage: Stage
    step_percent: float
    """Per cent of the units that are enrolled, or that will be once a pause ends; 0 before the ramp."""
    started_at: int
    """Microseconds since 1970, UTC."""
    by: str
    reason: str
    promoted: str | None = None
    """The variant that won; of the stage promoted only."""
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """By variant what runs for it; empty until the comparison runs."""


def draft(change: Change) -> Phase:
    """The first phase of a new experiment."""
    return Phase(1, 1, "draft", 0.0, change.at, change.by, change.reason)


def possible_acts(experiment: Experiment, phase: Phase) -> tuple[Act, ...]:
    """The acts that the present phase allows."""
    acts = _ACTS[phase.stage]
    if phase.stage == "ramp" and _next_step(experiment, phase) is None:
        return tuple(act for act in acts if act != "advance")
    if phase.stage == "paused" and not phase.step_percent:
        return tuple(act for act in acts if act != "promote")
    return acts


def start(experiment: Experiment, phase: Phase, change: Change) -> Phase:
    """From a draft or after a stop: the stage shadow, or the first step where the experiment has no shadow.

    After a stop a new comparison begins. Raises `StageError`.
    """
    _require("start", experiment, phase)
    comparison = phase.comparison + (phase.stage == "stopped")
    stage, step = _first_stage(experiment)
    return _follow(phase, change, stage, step=step, comparison=comparison)


def advance(experiment: Experiment, phase: Phase, change: Change) -> Phase:
    """From shadow to the first step, or to the next step of the ramp. Raises `StageError`."""
    _require("advance", experiment, phase)
    return _follow(phase, change, "ramp", step=_next_step(experiment, phase))


def pause(experiment: Experiment, phase: Phase, change: Change) -> Phase:
    """No unit is enrolled or mirrored until the experiment is resumed. Raises `StageError`."""
    _require("pause", experiment, phase)
    return _follow(phase, change, "paused")


def resume(experiment: Experiment, phase: Phase, change: Change) -> Phase:
    """The stage and step before the pause. Raises `StageError`."""
    _require("resume", experiment, phase)
    return _follow(phase, change, "ramp" if phase.step_percent else "shadow")


def stop(experiment: Experiment, phase: Phase, change: Change) -> Phase:
    """Every unit is answered as without the experiment: the roll-back. Raises `StageError`."""
    _require("stop", experiment, phase)
    return _follow(phase, change, "stopped", step=0.0)


def amend(experiment: Experiment, phase: Phase, change: Change, amended: Experiment) -> Phase:
    """The phase under the amended definition.

    Where what is compared stays the same, so does the stage. Otherwise a new comparison begins, at the first
    stage, since the new candidate has not been in shadow; a pause stays a pause. A stopped experiment becomes
    a draft. Raises `StageError`.
    """
    _require("amend", experiment, phase)
    if amended.name != experiment.name:
        raise StageError(
            f"experiment {quote(experiment.name)} cannot become {quote(amended.name)}: units are assigned by "
            "the name; define a new experiment",
            possible_acts(experiment, phase),
        )
    if phase.stage == "stopped":
        return _follow(phase, change, "draft", comparison=phase.comparison + 1)
    if phase.stage == "draft" or not changes_comparison(experiment, amended):
        return _follow(phase, change, phase.stage)
    stage, step = _first_stage(amended)
    stage = "paused" if phase.stage == "paused" else stage
    return _follow(phase, change, stage, step=step, comparison=phase.comparison + 1)


def changes_comparison(experiment: Experiment, amended: Experiment) -> bool:
    """Whether data under both definitions must not be analysed together."""
    return any(getattr(experiment, field) != getattr(amended, field) for field in COMPARED)


def promote(experiment: Experiment, phase: Phase, change: Change, candidate: str) -> Phase:
    """The candidate has won; from now on no act is possible.

    Raises `StageError`, and `IncompatibleVariantsError` for a candidate that is another model than the
    experiment's, of which the name that clients use cannot become a version.
    """
    _require("promote", experiment, phase)
    names = [variant.name for variant in experiment.candidates]
    if candidate not in names:
        raise StageError(
            f"experiment {quote(experiment.name)} cannot promote {quote(candidate)}: "
            f"expected one of its candidates {quote_names(names)}",
            possible_acts(experiment, phase),
        )
    model = experiment.model_of(experiment.candidates[names.index(candidate)])
    if model != experiment.model:
        raise IncompatibleVariantsError(
            f"{quote(candidate)} is the model {quote(model)}, and only a version of "
            f"{quote(experiment.model)} can take its place: put its file there as a new version"
        )
    return _follow(phase, change, "promoted", step=0.0, promoted=candidate)


def take(act: Act, experiment: Experiment, phase: Phase, change: Change, candidate: str = "") -> Phase:
    """The phase after any act but `amend`; `candidate` is the one to promote. Raises as the act does."""
    if act == "promote":
        return promote(experiment, phase, change, candidate)
    return _PLAIN_ACTS[act](experiment, phase, change)


_PLAIN_ACTS: Mapping[Act, Callable[[Experiment, Phase, Change], Phase]] = {
    "start": start,
    "advance": advance,
    "pause": pause,
    "resume": resume,
    "stop": stop,
}
_ACTS: Mapping[Stage, tuple[Act, ...]] = {
    "draft": ("start", "stop", "amend"),
    "shadow": ("advance", "pause", "stop", "amend"),
    "ramp": ("advance", "pause", "stop", "promote", "amend"),
    "paused": ("resume", "stop", "promote", "amend"),
    "stopped": ("start", "amend"),
    "promoted": (),
}


def _first_stage(experiment: Experiment) -> tuple[Stage, float]:
    """The stage that a start leads to, and its step."""
    stages = experiment.stages
    return ("shadow", 0.0) if stages.shadow_share > 0 else ("ramp", stages.steps[0])


def _next_step(experiment: Experiment, phase: Phase) -> float | None:
    """The step after the present one; None after the last."""
    return next((step for step in experiment.stages.steps if step > phase.step_percent), None)


def _require(act: Act, experiment: Experiment, phase: Phase) -> None:
    possible = possible_acts(experiment, phase)
    if act in possible:
        return
    # Some acts depend on the step as well.
    step = f", step {phase.step_percent:g} %" if phase.stage in ("ramp", "paused") else ""
    raise StageError(
        f"{quote(act)} is not possible for experiment {quote(experiment.name)} in stage "
        f"{quote(phase.stage)}{step}",
        possible,
    )


def _follow(
    phase: Phase,
    change: Change,
    stage: Stage,
    *,
    step: float | None = None,
    comparison: int | None = None,
    promoted: str | None = None,
) -> Phase:
    """The next phase; what is not given stays, as do the pins within a comparison."""
    comparison = phase.comparison if comparison is None else comparison
    return Phase(
        number=phase.number + 1,
        comparison=comparison,
        stage=stage,
        step_percent=phase.step_percent if step is None else step,
        started_at=max(change.at, phase.started_at),  # a clock may have been set back
        by=change.by,
        reason=change.reason,
        promoted=promoted,
        pins=phase.pins if comparison == phase.comparison else {},
    )

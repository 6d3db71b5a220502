"""What the evidence makes of an experiment: it is stopped, paused, promoted, or taken to the next step."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from serve.experiments.definition import Experiment
from serve.experiments.findings import Harm, Verdict
from serve.experiments.reasons import REASONS, name_harms, recognise
from serve.experiments.stages import RUNNING, Act, Phase, possible_acts

SECOND = 1_000_000  # microseconds
LOOK_SECONDS = 10.0
"""How often an experiment is looked at where little happens."""
LOOK_ANSWERS = 100
"""New answers after which its guardrails are looked at before that."""
REACTION_SECONDS = 3.0
"""From an answer that shows harm until no worker lets the candidate answer any more."""


class Step(NamedTuple):
    """An act, and why."""

    act: Act
    reason: str
    candidate: str = ""
    """Which one is promoted."""


def choose_step(
    experiment: Experiment,
    phases: Sequence[Phase],
    verdict: Verdict,
    met: Mapping[str, int],
    now: int,
) -> Step | None:
    """What is to be done at a time (microseconds since 1970); None to go on as it is.

    `phases` are all so far; `met` is how many units each candidate has met, or in shadow answered. What only
    pauses does so once in a comparison: whoever resumes it has seen it.
    """
    if phases[-1].stage not in RUNNING:
        return None
    return _answer_alarm(phases, verdict) or _go_on(experiment, phases[-1], verdict, met, now)


def _answer_alarm(phases: Sequence[Phase], verdict: Verdict) -> Step | None:
    if verdict.stopping:
        return _answer_harms("stop", verdict.stopping)
    if _was_paused(phases):
        return None
    if verdict.kind == "invalid":
        return Step("pause", REASONS["split"])
    return _answer_harms("pause", verdict.pausing) if verdict.pausing else None


def _answer_harms(act: Act, harms: Sequence[Harm]) -> Step:
    names = name_harms((harm.guardrail.kind, harm.candidate) for harm in harms)
    return Step(act, REASONS["harm"].format(harms=names))


def _go_on(
    experiment: Experiment, phase: Phase, verdict: Verdict, met: Mapping[str, int], now: int
) -> Step | None:
    possible = possible_acts(experiment, phase)
    is_complete = not {found.metric.name for found in verdict.leading.primary} & {*verdict.incomplete}
    is_better = verdict.kind == "better" and is_complete
    if experiment.auto_promote and is_better and "promote" in possible:
        return Step("promote", REASONS["better"], verdict.leading.name)
    if "advance" in possible and verdict.kind != "invalid" and _is_held(experiment, phase, met, now):
        return Step("advance", REASONS["held"])
    return None


def _was_paused(phases: Sequence[Phase]) -> bool:
    """Whether the comparison was paused before, but for models that had changed: that was no signal."""
    paused = [phase for phase in phases if phase.stage == "paused"]
    causes = [recognise(phase.reason) for phase in paused if phase.comparison == phases[-1].comparison]
    return any(cause is None or cause[0] != "changed" for cause in causes)


def _is_held(experiment: Experiment, phase: Phase, met: Mapping[str, int], now: int) -> bool:
    """Whether the next step may begin."""
    stages = experiment.stages
    if not stages.auto_advance or now - phase.started_at < stages.hold_seconds * SECOND:
        return False
    return all(met.get(candidate.name, 0) >= stages.hold_units for candidate in experiment.candidates)

"""What the evidence makes of an experiment: it is stopped, paused, promoted, or taken to the next step."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from serve.experiments.definition import Experiment
from serve.experiments.findings import Harm, Verdict
from serve.experiments.reasons import REASONS, name_harms, read_harms, recognise
from serve.experiments.stages import RUNNING, Act, Phase, possible_acts

SECOND = 1_000_000  # microseconds
LOOK_SECONDS = 10.0
"""How often an experiment is looked at where little happens."""
LOOK_ANSWERS = 100
"""New answers after which its guardrails are looked at before that."""
REACTION_SECONDS = 3.0
"""From an answer that shows harm until no worker lets the candidate answer any more."""


Signal: TypeAlias = tuple[str, str]
"""What pauses: a guardrail's kind and the candidate that it watches, or the split."""
SPLIT: Signal = ("split", "")


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

    `phases` are all so far; `met` is how many units each candidate has met, or in shadow answered. A signal
    that only pauses does so once in a comparison: whoever resumes it has seen it.
    """
    if phases[-1].stage not in RUNNING:
        return None
    return _answer_alarm(phases, verdict) or _go_on(experiment, phases[-1], verdict, met, now)


def _answer_alarm(phases: Sequence[Phase], verdict: Verdict) -> Step | None:
    if verdict.stopping:
        return _answer_harms("stop", verdict.stopping)
    seen = _list_seen(phases)
    if verdict.kind == "invalid" and SPLIT not in seen:
        return Step("pause", REASONS["split"])
    is_new = any(_signal_of(harm) not in seen for harm in verdict.pausing)
    return _answer_harms("pause", verdict.pausing) if is_new else None


def _answer_harms(act: Act, harms: Sequence[Harm]) -> Step:
    return Step(act, REASONS["harm"].format(harms=name_harms(map(_signal_of, harms))))


def _signal_of(harm: Harm) -> Signal:
    return harm.guardrail.kind, harm.candidate


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


def _list_seen(phases: Sequence[Phase]) -> set[Signal]:
    """The signals that have paused the comparison before; a person's pause, or a changed model, is none."""
    seen: set[Signal] = set()
    for phase in phases:
        if phase.stage == "paused" and phase.comparison == phases[-1].comparison:
            cause, places = recognise(phase.reason) or ("", {})
            seen |= {SPLIT} if cause == "split" else set(read_harms(places.get("harms", "")))
    return seen


def _is_held(experiment: Experiment, phase: Phase, met: Mapping[str, int], now: int) -> bool:
    """Whether the next step may begin."""
    stages = experiment.stages
    if not stages.auto_advance or now - phase.started_at < stages.hold_seconds * SECOND:
        return False
    return all(met.get(candidate.name, 0) >= stages.hold_units for candidate in experiment.candidates)

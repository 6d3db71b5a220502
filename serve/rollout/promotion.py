"""What experiments have decided about who answers where no version is named: the alias `stable`.

A promotion points it at the winner, and a start at the control where nobody has pointed it yet. Both are part
of what a server follows, as stages are: one that was down, or that ended between a promotion and what follows
from it, catches up. What somebody has decided about the alias since then stays.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from serve.engine.aliases import STABLE
from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.experiments.definition import Experiment, Variant
from serve.experiments.stages import RUNNING, Phase, Pin
from serve.experiments.store.registry import Registered

log = logging.getLogger("adaptact")


class DefaultDecision(NamedTuple):
    """Which variant answers by default."""

    experiment: str
    model: str
    variant: str
    version: str | None
    """Its number, or what the experiment says where none was pinned."""
    at: int
    """Microseconds since 1970."""
    is_promotion: bool


def follow_decisions(engine: Engine, registered: Iterable[Registered]) -> dict[str, str]:
    """Point the alias `stable` of models as experiments have decided; by experiment why that cannot be."""
    failures = {
        decision.experiment: _follow_decision(engine, decision)
        for decision in _find_decisions(engine, registered)
    }
    return {experiment: failure for experiment, failure in failures.items() if failure is not None}


def _find_decisions(engine: Engine, registered: Iterable[Registered]) -> list[DefaultDecision]:
    """The last decision about each model that is newer than what its alias says here."""
    last: dict[str, DefaultDecision] = {}
    for decision in filter(None, (_read_decision(known.experiment, known.phase) for known in registered)):
        since = engine.alias_since(decision.model)
        is_open = not since and STABLE not in engine.aliases(decision.model)
        is_due = decision.at > since and (decision.is_promotion or is_open)
        if is_due and (decision.model not in last or last[decision.model].at < decision.at):
            last[decision.model] = decision
    return list(last.values())


def _follow_decision(engine: Engine, decision: DefaultDecision) -> str | None:
    """Point the alias `stable` at the variant's version in this process; returns why that cannot be."""
    try:
        version = engine.model(decision.model, decision.version).version
        engine.point_alias(decision.model, STABLE, version, decision.at)
    except EngineError as error:
        return f"`{decision.variant}` does not answer by default here yet: {error}"
    about = decision.experiment, version, decision.model
    log.warning("experiment `%s`: version %s of `%s` answers from now on", *about)
    return None


def _read_decision(experiment: Experiment, phase: Phase) -> DefaultDecision | None:
    if phase.promoted:
        winner = experiment.find_variant(phase.promoted)
        return (
            None
            if winner is None
            else _decide(experiment, winner, phase.pins.get(winner.name), phase.started_at)
        )
    control = phase.pins.get(experiment.control.name)
    if phase.stage not in RUNNING or control is None:
        return None
    return _decide(experiment, experiment.control, control, control.at)._replace(is_promotion=False)


def _decide(experiment: Experiment, variant: Variant, pin: Pin | None, at: int) -> DefaultDecision:
    version = variant.version if pin is None else pin.version
    return DefaultDecision(experiment.name, experiment.model, variant.name, version, at, is_promotion=True)

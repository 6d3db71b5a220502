"""What the routes of experiments answer with."""

from dataclasses import replace

from pydantic import BaseModel

from adaptact.languages.catalogue import Language
from serve.experiments.definition import Experiment
from serve.experiments.stages import Phase, possible_acts
from serve.experiments.store.registry import AuditEntry, Registered
from serve.rest.language import tell_change


class PinReply(BaseModel):
    """The version that stands for a variant, the SHA-256 of its files, and when it was chosen."""

    model: str
    version: str
    digest: str
    at: int


class PhaseReply(BaseModel):
    """A time during which nothing of an experiment changed; times are microseconds since 1970, UTC."""

    number: int
    comparison: int
    stage: str
    step_percent: float
    started_at: int
    by: str
    reason: str
    promoted: str | None
    pins: dict[str, PinReply]
    """By variant what runs for it as long as the comparison lasts; empty until it runs."""


class ExperimentReply(BaseModel):
    """An experiment as it is now, and what can be done with it."""

    name: str
    revision: int
    phase: PhaseReply
    possible: list[str]
    definition: Experiment


class ExperimentList(BaseModel):
    """Every experiment, by name."""

    experiments: list[ExperimentReply]


class AuditReply(BaseModel):
    """Who did what, when, the newest first."""

    entries: list[AuditEntry]


def describe_experiment(registered: Registered, language: Language = "en") -> ExperimentReply:
    """The experiment, with why its phase began in the language."""
    experiment, phase = registered.experiment, registered.phase
    return ExperimentReply(
        name=experiment.name,
        revision=registered.revision,
        phase=describe_phase(phase, language),
        possible=list(possible_acts(experiment, phase)),
        definition=experiment,
    )


def describe_phase(phase: Phase, language: Language) -> PhaseReply:
    """The phase, with why it began in the language."""
    pins = {variant: PinReply(**pin._asdict()) for variant, pin in phase.pins.items()}
    told = {"pins": pins, "reason": tell_change(phase.reason, language)}
    return PhaseReply(**({field: getattr(phase, field) for field in Phase.__slots__} | told))


def describe_entry(entry: AuditEntry, language: Language) -> AuditEntry:
    """The entry of the audit trail, with why it was made in the language."""
    return replace(entry, detail=tell_change(entry.detail, language))

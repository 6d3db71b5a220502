"""An experiment's decisions and audit trail, read from its JSON."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from adaptact.languages.spoken import spoken
from convert.dossier.documents import read_document

FORMAT = "adaptact-experiment/1"
DECIDED = ("harmful", "better", "worse", "equivalent")
"""The verdicts that state a result; the others say that there is none yet, or that it cannot be trusted."""
Texts: TypeAlias = dict[str, str]
"""A text by language."""
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1_000_000


@dataclass(frozen=True, slots=True)
class PinSummary:
    """The version that stood for a variant, and the SHA-256 of its file."""

    model: str
    version: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """A time during which nothing of the experiment changed; times are microseconds since 1970."""

    number: int
    stage: Texts
    started_at: int
    by: Texts
    reason: Texts
    promoted: str | None = None
    pins: dict[str, PinSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """One entry of the audit trail."""

    at: int
    by: Texts
    action: Texts
    detail: Texts


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """What a dossier shows of an experiment."""

    format: str
    name: str
    model: str
    verdict: str
    sentences: Texts
    phases: tuple[PhaseSummary, ...]
    audit: tuple[EntrySummary, ...]

    def find_variant(self, digest: str) -> str | None:
        """The variant that the file of this SHA-256 stood for; None where it took no part."""
        for phase in self.phases:
            for variant, pin in phase.pins.items():
                if pin.digest == digest:
                    return variant
        return None


def read_experiment(path: Path) -> ExperimentSummary:
    """What `adaptact experiment report --output FILE.json` wrote. Raises UsageError for anything else."""
    return read_document(path, ExperimentSummary, FORMAT)


def choose_text(texts: Texts) -> str:
    """The text in the language that is spoken, or in English."""
    return texts.get(spoken(), texts.get("en", ""))


def show_time(at: int) -> str:
    """The minute, in UTC."""
    return datetime.fromtimestamp(min(max(at, 0), _LATEST) / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")

"""An experiment as one HTML page that needs nothing else: the verdict first, then what it rests on."""

from collections.abc import Callable, Mapping
from typing import Any

from adaptact.languages.catalogue import LANGUAGES, Language
from adaptact.languages.spoken import say, speak
from adaptact.report.page import render_html
from adaptact.report.parts import Tone, Verdict
from serve.client.experiments.client import ExperimentClient
from serve.client.experiments.replies import (
    Audit,
    AuditEntry,
    Experiment,
    Looks,
    Phase,
    Phases,
    Results,
    read,
)
from serve.client.experiments.sections import Evidence, SectionWriter
from serve.client.experiments.trail import describe_detail, explain_reason, name_author
from serve.client.experiments.words import name_word

DOCUMENT = "adaptact-experiment/1"
"""The format of an experiment as JSON, which `adaptact dossier` reads."""
_TONES: Mapping[str, Tone] = {
    "better": "good",
    "equivalent": "good",
    "worse": "bad",
    "harmful": "bad",
    "invalid": "bad",
}


def read_evidence(client: ExperimentClient, name: str, language: Language) -> Evidence:
    """What the server says of the experiment; raises `ClientError`."""
    return Evidence(
        read(Experiment, client.experiment(name)),
        read(Results, client.results(name, language)),
        read(Looks, client.looks(name)).looks,
        read(Phases, client.phases(name)).phases,
        read(Audit, client.audit(name)),
    )


def read_document(client: ExperimentClient, name: str) -> dict[str, Any]:
    """What an auditor needs of the experiment, as JSON: verdict, phases and audit trail."""
    found = {language: read(Results, client.results(name, language)) for language in LANGUAGES}
    known = read(Experiment, client.experiment(name))
    return {
        "format": DOCUMENT,
        "name": known.name,
        "model": known.definition.model,
        "verdict": found["en"].verdict,
        "sentences": {language: results.sentence for language, results in found.items()},
        "phases": [_write_phase(phase) for phase in read(Phases, client.phases(name)).phases],
        "audit": [_write_entry(entry) for entry in read(Audit, client.audit(name)).entries],
    }


def _write_phase(phase: Phase) -> dict[str, Any]:
    texts = {"by": name_author, "reason": explain_reason, "stage": name_word}
    return phase.model_dump() | {key: _tell(tell, getattr(phase, key)) for key, tell in texts.items()}


def _write_entry(entry: AuditEntry) -> dict[str, Any]:
    texts = {"by": name_author, "action": name_word, "detail": describe_detail}
    return entry.model_dump() | {key: _tell(tell, getattr(entry, key)) for key, tell in texts.items()}


def _tell(tell: Callable[[str], str], text: str) -> dict[str, str]:
    """The text in each language."""
    told: dict[str, str] = {}
    for language in LANGUAGES:
        with speak(language):
            told[language] = tell(text)
    return told


def render_report(evidence: Evidence, language: Language) -> str:
    """The page; equal evidence gives equal text, and every text in it is escaped."""
    results = evidence.results
    tone = _TONES.get(results.verdict, "caution")
    with speak(language):
        return render_html(
            say("Experiment {name}", name=evidence.experiment.name),
            list(SectionWriter(evidence).list_sections()),
            lead=[Verdict(tone, name_word(results.verdict), results.sentence)],
        )

"""An experiment as one HTML page that needs nothing else: the verdict first, then what it rests on."""

from collections.abc import Mapping

from adaptact.languages.catalogue import Language
from adaptact.languages.spoken import say, speak
from adaptact.report.page import render_html
from adaptact.report.parts import Tone, Verdict
from serve.client.experiments.client import ExperimentClient
from serve.client.experiments.replies import Audit, Experiment, Looks, Phases, Results, read
from serve.client.experiments.sections import Evidence, SectionWriter
from serve.client.experiments.words import name_word

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

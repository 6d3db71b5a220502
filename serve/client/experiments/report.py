"""An experiment as one HTML page that needs nothing else: the verdict first, then what it rests on."""

from importlib import resources

from adaptact.text import escape
from serve.client.experiments.client import ExperimentClient
from serve.client.experiments.replies import Audit, Experiment, Looks, Phases, Results, read
from serve.client.experiments.sections import Evidence, SectionWriter
from serve.client.experiments.words import Language


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
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # only reports need it

    template = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escape(value, longest=None) if isinstance(value, str) else value,
    )
    writer = SectionWriter(evidence, language)
    return environment.from_string(template).render(
        language=language,
        title=writer.say("title").format(name=evidence.experiment.name),
        verdict=evidence.results.verdict,
        verdict_word=writer.say(evidence.results.verdict),
        sentence=evidence.results.sentence,
        sections=list(writer.list_sections()),
    )

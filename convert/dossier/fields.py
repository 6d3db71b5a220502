"""What a dossier should hold: where each part comes from, which points ask for it, and what is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from adaptact.languages.catalogue import mark
from adaptact.languages.spoken import say
from convert.dossier.answers import Answers
from convert.dossier.experiment import DECIDED, ExperimentSummary
from convert.dossier.questions import QUESTIONS
from convert.dossier.study import StudySummary
from convert.evidence import tables
from convert.evidence.inspection import OnnxFile
from convert.evidence.report import has_passed
from convert.manifest.manifest import Manifest
from convert.manifest.signature import read_signer

Status: TypeAlias = Literal["recorded", "stated", "missing"]
STATUSES: dict[Status, str] = {
    "recorded": mark("recorded"),
    "stated": mark("stated by people"),
    "missing": mark("MISSING"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """All that is known of one model."""

    file: OnnxFile
    answers: Answers
    study: StudySummary | None = None
    experiment: ExperimentSummary | None = None

    @property
    def own_experiment(self) -> ExperimentSummary | None:
        """The experiment if this file took part in it: another one is no evidence of this model."""
        known = self.experiment
        return known if known is not None and known.find_variant(self.file.digest) is not None else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the dossier, and whether it is filled; texts are messages of the catalogue."""

    title: str
    points: tuple[str, ...]
    principles: tuple[int, ...]
    status: Status
    note: str
    """What is known, in the language that is spoken; of what is missing, what to do."""
    owner: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that evidence fills; `find` gives what is known, or nothing."""

    title: str
    points: tuple[str, ...]
    principles: tuple[int, ...]
    find: Callable[[Subject], str | None]
    owner: str
    todo: str


_EXPORTER = mark("who exports the model")
_MODEL = mark("who trained the model")
_OPERATION = mark("who operates the server")


def list_entries(subject: Subject) -> list[Entry]:
    """Every field: those that evidence fills, then those that people answer."""
    return [*_list_evidence(subject), *_list_answers(subject)]


def _list_evidence(subject: Subject) -> Iterator[Entry]:
    for field in _FIELDS:
        found = field.find(subject)
        status: Status = "missing" if found is None else "recorded"
        note = say(field.todo) if found is None else found
        yield Entry(field.title, field.points, field.principles, status, note, field.owner)


def _list_answers(subject: Subject) -> Iterator[Entry]:
    for question in QUESTIONS:
        status: Status = "stated" if question.key in subject.answers else "missing"
        note = say("see “{section}”", section=say("What people state"))
        if status == "missing":
            note = say("answer `{key}` in the file of answers", key=question.key)
        yield Entry(question.title, question.points, question.principles, status, note, question.owner)


def _with_manifest(find: Callable[[Manifest], str | None]) -> Callable[[Subject], str | None]:
    return lambda subject: None if subject.file.manifest is None else find(subject.file.manifest)


def _find_signer(subject: Subject) -> str | None:
    signer = read_signer(subject.file.content)
    return None if signer is None else say("key {key}, which `adaptact verify` checks", key=signer)


def _find_hardware(manifest: Manifest) -> str:
    tuning = manifest.tuning
    return manifest.provider if tuning is None else f"{tuning.provider}: {tuning.processor}"


def _find_parity(manifest: Manifest) -> str:
    passed = say("passed") if has_passed(manifest.parity) else say("FAILED")
    return f"{passed}; {tables.describe_coverage(manifest.parity)}"


def _find_accuracy(subject: Subject) -> str | None:
    manifest = subject.file.manifest
    right = None if manifest is None or manifest.rounding is None else manifest.rounding.accuracy
    if subject.study is not None:
        return say("see “{section}”", section=say("Study"))
    if right is not None:
        return say("{part} of {whole}", part=right.file, whole=right.samples)
    return None


def _find_data(subject: Subject) -> str | None:
    if subject.study is None:
        return None
    data = subject.study.data
    return say("{name}, digest {digest}", name=data.name, digest=data.digest)


def _find_training(subject: Subject) -> str | None:
    if subject.study is None:
        return None
    return say("see “{section}”", section=say("Study"))


def _find_comparison(subject: Subject) -> str | None:
    known = subject.own_experiment
    if known is None or known.verdict not in DECIDED:
        return None
    return say("see “{section}”", section=say("Experiment"))


def _find_decisions(subject: Subject) -> str | None:
    if subject.own_experiment is None:
        return None
    return say("see “{section}”", section=say("Experiment"))


def _count_activations(manifest: Manifest) -> str | None:
    count = len(manifest.activations)
    return say("{count} learned activations, each with its curve", count=count) if count else None


def _find_reference(subject: Subject) -> str | None:
    baseline = subject.file.baseline
    return None if baseline is None else say("{count} samples of your own", count=f"{baseline.rows:,}")


_FIELDS = (
    _Field(
        mark("Version of the model"),
        ("1(a)",),
        (6, 7),
        lambda subject: f"SHA-256 {subject.file.digest}",
        _EXPORTER,
        "",
    ),
    _Field(
        mark("Versions of the software"),
        ("1(c)",),
        (6,),
        _with_manifest(lambda manifest: ", ".join(f"{name} {v}" for name, v in manifest.versions.items())),
        _EXPORTER,
        mark("export the model with adaptact"),
    ),
    _Field(
        mark("Hardware it was made for"),
        ("1(e)",),
        (6,),
        _with_manifest(_find_hardware),
        _EXPORTER,
        mark("export the model with adaptact"),
    ),
    _Field(
        mark("Inputs and outputs"),
        ("1(b)", "2(b)", "3"),
        (6,),
        lambda subject: ", ".join(value.name or "" for value in subject.file.graph.graph.inputs) or None,
        _EXPORTER,
        "",
    ),
    _Field(
        mark("Logic and architecture"),
        ("2(b)", "2(c)"),
        (6,),
        lambda subject: ", ".join(f"{count} {name}" for name, count in subject.file.operators.items()),
        _EXPORTER,
        "",
    ),
    _Field(
        mark("Learned shapes"),
        ("2(b)",),
        (6,),
        _with_manifest(_count_activations),
        _EXPORTER,
        mark("the model has no learned activation, or was not exported with adaptact"),
    ),
    _Field(
        mark("Steps of the conversion"),
        ("2(a)",),
        (6, 7),
        _with_manifest(lambda manifest: say("source SHA-256 {digest}", digest=manifest.source_digest)),
        _EXPORTER,
        mark("export the model with adaptact"),
    ),
    _Field(
        mark("Digest of the training data"),
        ("2(d)",),
        (6, 7),
        _find_data,
        _MODEL,
        mark("give the results of a study: --study"),
    ),
    _Field(
        mark("Training procedure"),
        ("2(a)", "2(d)"),
        (6,),
        _find_training,
        _MODEL,
        mark("give the results of a study: --study"),
    ),
    _Field(
        mark("Validation: the file computes what the model computed"),
        ("2(g)",),
        (2,),
        _with_manifest(_find_parity),
        _EXPORTER,
        mark("export the model with adaptact"),
    ),
    _Field(
        mark("Accuracy on test data"),
        ("2(g)", "3"),
        (2,),
        _find_accuracy,
        _MODEL,
        mark("give the results of a study: --study"),
    ),
    _Field(
        mark("Protection against changes"),
        ("2(h)",),
        (5,),
        _find_signer,
        _EXPORTER,
        mark("sign the file: adaptact export --sign"),
    ),
    _Field(
        mark("Known limits"),
        ("3",),
        (2, 6),
        _with_manifest(lambda manifest: say("see “{section}”", section=say("Limits"))),
        _EXPORTER,
        mark("export the model with adaptact"),
    ),
    _Field(
        mark("Comparison on live traffic"),
        ("2(g)", "9"),
        (2,),
        _find_comparison,
        _OPERATION,
        mark("give an experiment in which this file took part, and that has a verdict: --experiment"),
    ),
    _Field(
        mark("Changes and decisions, with who made them"),
        ("6",),
        (7,),
        _find_decisions,
        _OPERATION,
        mark("give an experiment in which this file took part: --experiment"),
    ),
    _Field(
        mark("Reference for monitoring in use"),
        ("9",),
        (2,),
        _find_reference,
        _EXPORTER,
        mark("export the model with samples of your own: --samples"),
    ),
)

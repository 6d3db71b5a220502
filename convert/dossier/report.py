"""The dossier as one page: what is known, what it is mapped to, and what is missing."""

from collections.abc import Iterator, Sequence

from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Section, Table, Text, Verdict
from convert.dossier.experiment import EntrySummary, ExperimentSummary, PhaseSummary, choose_text, show_time
from convert.dossier.fields import STATUSES, Entry, Subject, list_entries
from convert.dossier.mappings import (
    ACT,
    GUIDELINES,
    list_open_points,
    tabulate_points,
    tabulate_principles,
)
from convert.dossier.questions import QUESTIONS
from convert.dossier.study import MeanSummary, StudySummary
from convert.evidence import rounding_tables, tables
from convert.evidence.report import list_sections
from convert.manifest.baseline import BaselineRecord
from convert.manifest.manifest import Manifest

_NAMED = 40  # entries of an audit trail, and changes, that a page shows


def render_dossier(subject: Subject) -> str:
    """The page as HTML in the language that is spoken; equal contents give equal text."""
    entries = list_entries(subject)
    title = say("Dossier of the model in {name}", name=subject.file.name)
    return render_html(title, list(_list_sections(subject, entries)), lead=_write_lead(subject, entries))


def _write_lead(subject: Subject, entries: Sequence[Entry]) -> list[Part]:
    counts = {status: sum(entry.status == status for entry in entries) for status in STATUSES}
    word = say(
        "Of {all} fields: {recorded} recorded, {stated} stated by people, {missing} missing",
        all=len(entries),
        **counts,
    )
    sentence = say(
        "This document maps what is known of a model to two texts. It is no statement of "
        "conformity with either, "
        "and replaces no assessment."
    )
    parts: list[Part] = [Verdict("caution" if counts["missing"] else "good", word, sentence)]
    if "purpose" in subject.answers:
        parts.append(Text(say("Intended purpose: {purpose}", purpose=subject.answers["purpose"])))
    return parts


def _list_sections(subject: Subject, entries: Sequence[Entry]) -> Iterator[Section]:
    yield Section(say("What is missing, and who supplies it"), _list_missing(entries))
    yield Section(say("What people state"), _list_statements(subject))
    yield from list_sections(subject.file)
    if subject.file.manifest is not None:
        yield Section(say("Limits"), list(_list_limits(subject.file.manifest, subject.file.baseline)))
    if subject.study is not None:
        yield Section(say("Study"), list(_show_study(subject.study)))
    if subject.experiment is not None:
        yield Section(say("Experiment"), list(_show_experiment(subject, subject.experiment)))
    yield Section(say("Change log"), [_tabulate_changes(subject)])
    yield Section(say("Mapping to the EU AI Act, Annex IV"), [*_cite(0), tabulate_points(entries)])
    yield Section(
        say("Mapping to Japan's AI Guidelines for Business"), [*_cite(1), tabulate_principles(entries)]
    )


def _cite(place: int) -> list[Part]:
    reference = (ACT, GUIDELINES)[place]
    return [Text(f"{say(reference.title)}\n{reference.source}"), Text(say(reference.note))]


def _list_missing(entries: Sequence[Entry]) -> list[Part]:
    missing = [entry for entry in entries if entry.status == "missing"]
    if not missing:
        return [Text(say("Nothing that this dossier asks for is missing."))]
    rows = [
        (say(entry.title), say(entry.owner), entry.note, join_list(entry.points) or tables.NOTHING)
        for entry in missing
    ]
    open_points = list_open_points(entries)
    parts: list[Part] = [Table(say_all("missing", "who supplies it", "how", "Annex IV"), rows)]
    if open_points:
        parts.append(
            Text(say("Points of Annex IV to which nothing here speaks yet: {points}.", points=open_points))
        )
    return parts


def _list_statements(subject: Subject) -> list[Part]:
    rows = [
        (say(question.title), subject.answers[question.key])
        for question in QUESTIONS
        if question.key in subject.answers
    ]
    if not rows:
        return [Text(say("Nobody has stated anything yet: `adaptact dossier --template` asks for it."))]
    return [
        Text(say("Written by people, and checked by no program.")),
        Table(say_all("question", "answer"), rows),
    ]


def _list_limits(manifest: Manifest, baseline: BaselineRecord | None) -> Iterator[Part]:
    weakness = tables.tabulate_weakness(manifest.parity)
    if weakness.rows:
        yield Table(*weakness)
    sizes = [(bounds.name, bounds.text) for bounds in manifest.sizes]
    if sizes:
        yield Table(say_all("free size", "bounds"), sizes)
    reached = tables.tabulate_reach(manifest.activations, baseline)
    if reached.rows:
        caption = say(
            "Inputs that were measured at export, on samples of your own or else on generated ones. None of "
            "them was beyond the lowest and the highest; what reached the layers in training is not "
            "recorded. The range for drift held all but 0.1 % of the baseline's values."
        )
        yield Table(*reached, caption)
    yield Text(
        say(
            "Parity says that the file computes what the model computed. It does not say that "
            "the model is right, "
            "fair or fit for a purpose."
        )
    )


def _show_study(study: StudySummary) -> Iterator[Part]:
    plan, data = study.plan, study.data
    yield Text(
        say(
            "A study of activations on {data}; whether it is about this model's training is for "
            "people to say.",
            data=data.name,
        )
    )
    rows = [
        (
            outcome.variant,
            _show_mean(outcome.score),
            tables.NOTHING if (versus := outcome.against_baseline) is None else _show_mean(versus.difference),
            tables.NOTHING if versus is None else f"{versus.p:.2g}",
            say("baseline") if versus is None else say(versus.verdict),
            str(outcome.diverged),
        )
        for outcome in study.outcomes
    ]
    score = say("R²") if data.task == "regression" else say("accuracy")
    yield Table(
        (say("activation"), score, *say_all("difference"), "p", *say_all("verdict", "diverged")), rows
    )
    facts = [
        (say("data"), say("{name}, digest {digest}", name=data.name, digest=data.digest)),
        (say("samples"), f"{data.train:,} / {data.validation:,} / {data.test:,}"),
        (say("network"), plan.architecture.name),
        (say("seeds"), ", ".join(map(str, plan.seeds))),
        (say("epochs, batch"), f"{plan.training.epochs}, {plan.training.batch}"),
        (say("optimizer, schedule"), f"{plan.training.optimizer}, {plan.training.schedule}"),
        (say("weight decay"), f"{plan.training.weight_decay:g}"),
        (say("versions"), ", ".join(f"{name} {number}" for name, number in study.versions.items())),
    ]
    yield Table(say_all("what", "value"), facts)


def _show_mean(value: MeanSummary) -> str:
    if value.mean is None:
        return tables.NOTHING
    shown = f"{value.mean:.4g}"
    if value.low is None or value.high is None:
        return shown
    return shown + say(" ({low} to {high})", low=f"{value.low:.4g}", high=f"{value.high:.4g}")


def _show_experiment(subject: Subject, known: ExperimentSummary) -> Iterator[Part]:
    variant = known.find_variant(subject.file.digest)
    if variant is None:
        warning = say("No version that took part has this file's SHA-256: it is about another file.")
        yield Verdict("bad", say("Another model"), warning)
    else:
        yield Text(say("This file took part as “{variant}”, by its SHA-256.", variant=variant))
    sentence = choose_text(known.sentences)
    yield Text(say("Verdict on {model}: {sentence}", model=known.model, sentence=sentence))
    yield Table(
        say_all("phase", "stage", "since (UTC)", "by", "reason"), [_phase_row(p) for p in known.phases]
    )
    entries = known.audit[:_NAMED]
    rows = [
        (show_time(entry.at), *map(choose_text, (entry.by, entry.action, entry.detail))) for entry in entries
    ]
    caption = say(
        "The newest {shown} of {all} entries of the audit trail.", shown=len(rows), all=len(known.audit)
    )
    yield Table(say_all("time (UTC)", "by", "action", "detail"), rows, caption)


def _phase_row(phase: PhaseSummary) -> tuple[str, ...]:
    stage, by, reason = map(choose_text, (phase.stage, phase.by, phase.reason))
    if phase.promoted is not None:
        stage = f"{stage}: {phase.promoted}"
    return str(phase.number), stage, show_time(phase.started_at), by, reason


def _tabulate_changes(subject: Subject) -> Table:
    rows = [(tables.NOTHING, *row) for row in _list_conversion(subject.file.manifest)]
    if (own := subject.own_experiment) is not None:
        rows += [
            (show_time(entry.at), choose_text(entry.by), _join_act(entry))
            for entry in reversed(own.audit[:_NAMED])
        ]
    return Table(say_all("time (UTC)", "by", "change"), rows)


def _join_act(entry: EntrySummary) -> str:
    return say("{action}: {detail}", action=choose_text(entry.action), detail=choose_text(entry.detail))


def _list_conversion(manifest: Manifest | None) -> Iterator[tuple[str, str]]:
    if manifest is None:
        return
    by = f"adaptact {manifest.versions.get('adaptact', '')}".strip()
    yield by, say("converted from the file with SHA-256 {digest}", digest=manifest.source_digest)
    for note in manifest.source_notes:
        yield by, retell(note)
    for record in manifest.activations:
        if record.replaced:
            yield (
                by,
                say(
                    "{layer}: {kind} in place of {plain}",
                    layer=record.layer,
                    kind=record.kind,
                    plain=record.replaced,
                ),
            )
    for fired in manifest.fired:
        yield by, say("rule {rule}, {times} times", rule=fired.rule, times=fired.times)
    if manifest.tuning is not None and manifest.tuning.chosen:
        yield by, say("tuned: {target}", target=tables.describe_tuning(manifest.tuning))
    if manifest.rounding is not None:
        yield by, rounding_tables.describe_rounding(manifest.precision, manifest.rounding)

"""The dossier: what is known, what is missing, and that it claims no more than that."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from adaptact.errors import UsageError
from adaptact.languages.catalogue import LANGUAGES, Language, translate
from adaptact.languages.spoken import speak
from convert.artefact.file import serialise
from convert.dossier.answers import Answers
from convert.dossier.experiment import ExperimentSummary, read_experiment
from convert.dossier.fields import Subject, list_entries
from convert.dossier.mappings import (
    ACT,
    GUIDELINES,
    POINTS,
    PRINCIPLES,
    list_open_points,
    tabulate_points,
    tabulate_principles,
)
from convert.dossier.questions import QUESTIONS
from convert.dossier.report import render_dossier
from convert.dossier.study import StudySummary, read_study
from convert.evidence.inspection import OnnxFile, read_onnx_file
from convert.evidence.tables import tabulate_reach
from convert.manifest.baseline import BaselineRecord, SeriesRecord
from convert.manifest.entries import BASELINE_KEY
from convert.manifest.manifest import ReachRecord
from tests.adaptact.hostile import MARKUP
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.manifest.test_manifest import MANIFEST

ROOT = Path(__file__).parents[3]
STUDY = ROOT / "docs" / "results" / "studies" / "diabetes-mlp"
BEGIN = 1_764_000_000_000_000


def make_document(digest: str, **changed: Any) -> dict[str, Any]:
    """What `adaptact experiment report` writes of an experiment; the file of the digest took part."""
    pin = {"model": "m", "version": "2", "digest": digest}
    said = {"en": "anne", "ja": "anne"}
    phase = {"number": 1, "stage": {"en": "promoted", "ja": "昇格済み"}, "started_at": BEGIN}
    entry = {"at": BEGIN, "by": said, "action": {"en": "promote", "ja": "昇格"}, "detail": said}
    return {
        "format": "adaptact-experiment/1",
        "name": "curves",
        "model": "m",
        "verdict": "better",
        "sentences": {"en": "v2 is better than v1.", "ja": "v2 は v1 より優れています。"},
        "phases": [phase | {"by": said, "reason": said, "promoted": "v2", "pins": {"v2": pin}}],
        "audit": [entry],
    } | changed


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> OnnxFile:
    path = tmp_path_factory.mktemp("dossier") / "m.onnx"
    model = parse_graph(write_graph("r = Relu(x) y = Mul(r, s)", write_constant("s", 4, 1, 1)))
    path.write_bytes(serialise(model, MANIFEST))
    return read_onnx_file(path)


@pytest.fixture(scope="module")
def study() -> StudySummary:
    return read_study(STUDY)


def write_experiment(path: Path, document: dict[str, Any]) -> ExperimentSummary:
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_experiment(path)


def answer_all() -> Answers:
    return {question.key: f"about {question.key}" for question in QUESTIONS}


def test_limits_are_the_extremes_where_the_manifest_records_them_and_the_range_for_drift() -> None:
    watched = SeriesRecord("activation", "h", "1", None, 100, (0.0,), (), (1, 1), -2.594, 2.331, 0.001)
    reach = ReachRecord(128_000, -2.83, 2.38, (1.0,), 0.5, -3.27, 3.01)
    layer = dataclasses.replace(MANIFEST.activations[0], reach=reach)
    older = dataclasses.replace(layer, layer="2", reach=ReachRecord(9, -2.83, 2.38, (1.0,), 0.5))
    assert tabulate_reach((layer, older), BaselineRecord(100, (watched,))).rows == [
        ("1", "-3.27", "3.01", "128,000", "-2.594 to 2.331"),
        ("2", "–", "–", "9", "–"),
    ]


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        (BaselineRecord(300, ()).to_json(), "300 samples of your own"),
        (None, "200 samples of your own"),
        ("{", "export the model with samples of your own: --samples"),
    ],
    ids=["own entry", "the manifest's", "broken"],
)
def test_the_reference_for_monitoring_is_what_a_server_compares_with(
    entry: str | None, note: str, file: OnnxFile
) -> None:
    manifest = dataclasses.replace(MANIFEST, baseline=BaselineRecord(200, ()))
    metadata = {} if entry is None else {BASELINE_KEY: entry}
    subject = Subject(dataclasses.replace(file, manifest=manifest, metadata=metadata), {})
    (found,) = [each for each in list_entries(subject) if each.title == "Reference for monitoring in use"]
    assert found.note == note


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_is_known_is_in_it(
    language: Language, file: OnnxFile, study: StudySummary, tmp_path: Path
) -> None:
    experiment = write_experiment(tmp_path / "e.json", make_document(file.digest))
    with speak(language):
        page = render_dossier(Subject(file, {"purpose": "Sort digits."}, study, experiment))
    assert page.count("Sort digits.") == 2
    for text in (
        "This document maps what is known of a model to two texts. It is no statement of conformity with "
        "either, and replaces no assessment.",
        "What is missing, and who supplies it",
        "Mapping to the EU AI Act, Annex IV",
        "Mapping to Japan's AI Guidelines for Business",
        "Change log",
        "Limits",
    ):
        assert translate(text, language).replace("'", "&#39;") in page
    assert file.digest in page
    assert study.data.digest in page
    assert experiment.sentences[language] in page
    assert "2025-11-24 16:00" in page


def test_each_field_says_whether_it_is_recorded_stated_or_missing(file: OnnxFile) -> None:
    entries = {entry.title: entry for entry in list_entries(Subject(file, {"risks": "few"}))}
    assert entries["Version of the model"].status == "recorded"
    assert entries["Risks and their management"].status == "stated"
    missing = entries["Digest of the training data"]
    assert (missing.status, missing.owner) == ("missing", "who trained the model")
    assert missing.note == "give the results of a study: --study"


def test_what_is_missing_names_who_supplies_it_and_the_open_points(file: OnnxFile) -> None:
    page = render_dossier(Subject(file, {}))
    section = page[page.index('id="s1"') : page.index('id="s2"')]
    assert "legal or compliance" in section
    assert "Points of Annex IV to which nothing here speaks yet: 1(d)" in section


def test_nothing_is_missing_once_everything_is_given(
    file: OnnxFile, study: StudySummary, tmp_path: Path
) -> None:
    experiment = write_experiment(tmp_path / "e.json", make_document(file.digest))
    entries = list_entries(Subject(file, answer_all(), study, experiment))
    assert {entry.title for entry in entries if entry.status == "missing"} <= {
        "Protection against changes",
        "Reference for monitoring in use",
    }


def test_every_point_and_principle_is_shown_and_none_is_invented(file: OnnxFile) -> None:
    entries = list_entries(Subject(file, {}))
    assert {point for entry in entries for point in entry.points} <= set(POINTS)
    assert {number for entry in entries for number in entry.principles} <= set(PRINCIPLES)
    assert [row[0] for row in tabulate_points(entries).rows] == list(POINTS)
    assert len(tabulate_principles(entries).rows) == 10
    (uncovered,) = [row[2] for row in tabulate_points(entries).rows if row[0] == "1(f)"]
    assert uncovered == "nothing in this dossier: to be supplied elsewhere"


def test_a_point_is_only_filled_by_what_its_wording_asks_for(file: OnnxFile, study: StudySummary) -> None:
    entries = list_entries(Subject(file, {}, study))
    fields = {point: {entry.title for entry in entries if point in entry.points} for point in POINTS}
    assert fields["4"] == {"Why these performance metrics"}  # a measured value is no reason for its metric
    assert fields["6"] == {"Changes and decisions, with who made them"}
    assert fields["8"] == {"EU declaration of conformity"}
    assert "4" in list_open_points(entries)


def test_each_mapping_says_what_it_was_compared_with(file: OnnxFile) -> None:
    page = render_dossier(Subject(file, {}))
    for reference, missing in (
        (ACT, "not with the Official Journal itself"),
        (GUIDELINES, "not compared with the official text"),
    ):
        assert missing in reference.note
        assert reference.note.replace("'", "&#39;") in page
        assert reference.source in page


def test_an_experiment_about_another_file_is_called_so(file: OnnxFile, tmp_path: Path) -> None:
    other = write_experiment(tmp_path / "e.json", make_document("0" * 64))
    assert 'class="verdict bad"' in render_dossier(Subject(file, {}, None, other))
    own = write_experiment(tmp_path / "e.json", make_document(file.digest))
    assert "This file took part as “v2”" in render_dossier(Subject(file, {}, None, own))


@pytest.mark.parametrize(
    ("digest", "verdict", "recorded"),
    [
        (None, "better", {"Comparison on live traffic", "Changes and decisions, with who made them"}),
        (None, "undecided", {"Changes and decisions, with who made them"}),
        (None, "invalid", {"Changes and decisions, with who made them"}),
        ("0" * 64, "better", set()),
    ],
)
def test_only_an_experiment_of_this_file_with_a_result_is_evidence(
    digest: str | None, verdict: str, recorded: set[str], file: OnnxFile, tmp_path: Path
) -> None:
    known = write_experiment(tmp_path / "e.json", make_document(digest or file.digest, verdict=verdict))

    def list_recorded(subject: Subject) -> set[str]:
        return {entry.title for entry in list_entries(subject) if entry.status == "recorded"}

    assert list_recorded(Subject(file, {}, None, known)) - list_recorded(Subject(file, {})) == recorded
    shown = render_dossier(Subject(file, {}, None, known))
    assert shown.count("2025-11-24 16:00") == (3 if recorded else 2)  # in the change log too


def test_a_file_without_evidence_has_a_dossier_of_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(serialise(parse_graph(write_graph("y = Relu(x)")), None))
    page = render_dossier(Subject(read_onnx_file(tmp_path / "m.onnx"), {}))
    assert "export the model with adaptact" in page


def test_hostile_texts_stay_texts(file: OnnxFile, tmp_path: Path) -> None:
    text = f'"><script>alert(1)</script>{MARKUP}{{name}}'
    document = make_document(file.digest, name=text, model=text, sentences={"en": text})
    document["audit"][0] |= {"at": 10**30, "by": {"en": text}, "detail": {}}
    experiment = write_experiment(tmp_path / "e.json", document)
    page = render_dossier(Subject(file, dict.fromkeys(answer_all(), text), None, experiment))
    assert "<script" not in page
    assert re.findall(r' (?:href|src)="(?!#s|data:image)', page) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not `adaptact-experiment/1`"),
        ("[]", "has the format `None`, expected `adaptact-experiment/1`"),
        ('{"format": "adaptact-study/2"}', "has the format `adaptact-study/2`"),
        ('{"format": "adaptact-experiment/1"}', "is not `adaptact-experiment/1`"),
        ("[" * 100_000, "is not `adaptact-experiment/1`"),
        (json.dumps(make_document("", phases="x")), "phases"),
    ],
)
def test_another_document_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_experiment(tmp_path / "e.json")


def test_equal_contents_give_equal_dossiers(file: OnnxFile) -> None:
    assert render_dossier(Subject(file, answer_all())) == render_dossier(Subject(file, answer_all()))

"""The commands against the application, from a definition to the promotion."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from convert.dossier.experiment import read_experiment
from serve.client.experiments import parts
from serve.client.experiments.command import ACTS
from serve.experiments.findings import Memory
from serve.experiments.store.database import open_store
from serve.experiments.store.exposures import ExposureWriter
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.registry import Registry
from serve.experiments.store.tables import outcomes
from serve.rollout.packing import pack_arrays
from tests.serve.client.experiments.conftest import Run, Served
from tests.serve.client.experiments.looks import make_results
from tests.serve.experiments.definitions import make_document
from tests.serve.experiments.store.rows import arm, count_rows

DOCUMENT = make_document(
    control={"name": "control", "version": "1"},
    stages={"shadow_share": 0},
    metrics=[{"name": "bought", "kind": "binary", "is_primary": True}],
    guardrails=[{"kind": "error_rate"}],
)
HOUR = 3_600_000_000
BEGIN = 1_764_000_000_000_000

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of definitions."""
    return write_definitions(tmp_path / "experiments.yaml", DOCUMENT)


def write_definitions(path: Path, *documents: Any) -> Path:
    path.write_text(yaml.safe_dump({"experiments": list(documents)}))
    return path


def look_at(served: Served) -> None:
    """Three looks, by which the interval closes."""
    for place, width in enumerate((None, 0.2, 0.05)):
        content = {"memory": Memory().as_json(), "results": make_results(width)}
        served.rollout.registry.keep_look("exp", 1, BEGIN + place * HOUR, content)


def test_an_experiment_goes_from_its_file_to_its_promotion(
    served: Served, run: Run, file: Path, capsys: Capture
) -> None:
    assert run("define", file) == 0
    assert run("define", file) == 0
    assert run("start", "exp", "--reason", "to see") == 0
    assert "to see" in capsys.readouterr().out
    for act in ("advance", "pause", "resume"):
        assert run(act, "exp") == 0
    assert run("list") == 0
    assert "ramp" in capsys.readouterr().out
    assert run("promote", "exp", "--candidate", "candidate") == 0
    assert served.rollout.registry.read("exp").phase.promoted == "candidate"
    assert [entry.action for entry in served.rollout.registry.read_audit("exp")][::-1] == [
        *("define", "start", "advance", "pause", "resume", "promote")
    ]


def test_a_verdict_is_shown_with_its_closing_interval(
    served: Served, run: Run, file: Path, capsys: Capture
) -> None:
    run("define", file)
    look_at(served)
    capsys.readouterr()
    assert run("show", "exp") == 0
    shown = capsys.readouterr().out
    assert "Undecided between candidate and control." in shown
    assert "effect and interval over time" in shown
    assert shown.count("●") == 3
    assert run("show", "exp", "--language", "ja") == 0
    shown = capsys.readouterr().out
    words = ("判定できません", "今できること", "下書き", "ガードレール", "エラー率")
    assert all(word in shown for word in words)


@pytest.mark.slow
def test_every_answer_fits_a_terminal_and_may_be_silent(
    served: Served, run: Run, file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("define", file)
    look_at(served)
    capsys.readouterr()
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    for arguments in (("define", file), ("list",), ("show", "exp"), ("plan", "exp"), ("start", "exp")):
        assert run(*arguments) == 0
        shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
        assert max(map(len, shown.splitlines())) <= 80
        assert "…" not in shown
        assert run(*(arguments if arguments[0] != "start" else ("stop", "exp")), "--quiet") == 0
        assert capsys.readouterr() == ("", "")


def test_every_answer_can_be_had_as_json(served: Served, run: Run, file: Path, capsys: Capture) -> None:
    for arguments in (
        ("define", file),
        ("list",),
        ("show", "exp"),
        ("plan", "exp"),
        ("plan", file),
        ("start", "exp"),
        ("stop", "exp"),
    ):
        assert run(*arguments, "--json") == 0
        out, err = capsys.readouterr()
        assert (bool(json.loads(out)), err) == (True, "")
    assert served.rollout.registry.read("exp").phase.stage == "stopped"


def test_a_plan_says_what_is_needed_and_defines_nothing(
    served: Served, run: Run, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    lines = [json.dumps({"unit": str(n), "metric": "bought", "value": int(n % 10 < 3)}) for n in range(400)]
    (tmp_path / "outcomes.jsonl").write_text("\n".join(lines))
    assert run("feedback", tmp_path / "outcomes.jsonl") == 0
    capsys.readouterr()
    assert run("plan", file, "--units-per-day", 500, "--change", 0.2) == 0
    shown = capsys.readouterr().out
    for part in ("5,000, 10 days", "500 units a day", "bought *", "30 %", "error rate", "within units"):
        assert part in shown
    assert served.rollout.registry.read_all() == ()
    assert run("plan", file, "--power", 0.1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_feedback_is_sent_in_parts_and_again_without_harm(
    kind: str, served: Served, run: Run, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 10)
    rows = [{"unit": str(number), "metric": "m", "value": float(number)} for number in range(35)]
    rows[24]["metric"] = ""
    path = tmp_path / f"outcomes.{kind}"
    path.write_bytes(_write_rows(kind, rows))
    assert run("feedback", path) == 1  # one is refused
    out = capsys.readouterr().out
    assert "34 new, 0 known before, 1 refused" in out
    # The parts' counts of the same metric are one.
    assert "34 are of metrics that no experiment has" in out
    assert "  `m`: 34\n" in out
    line = {"jsonl": 25, "csv": 26, "parquet": 25}[kind]
    assert f"\n{line} " in out
    assert run("feedback", path, "--json") == 1
    again = json.loads(capsys.readouterr().out)
    assert (again["new"], again["duplicate"], again["reasons"][0]["place"]) == (0, 34, line)
    assert count_rows(served.rollout.store, outcomes) == 34


def test_a_mistyped_metric_is_said_with_what_was_meant(
    served: Served, run: Run, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    run("define", file)
    path = tmp_path / "outcomes.csv"
    path.write_text("unit,metric,value\na,bougt,1\nb,bought,1\n")
    capsys.readouterr()
    assert run("feedback", path) == 0
    out = capsys.readouterr().out
    assert "2 new" in out
    assert "`bougt`: 1; did you mean `bought`?" in out
    assert run("feedback", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["unknown_metrics"][0]["metric"] == "bougt"


def _write_rows(kind: str, rows: list[dict[str, Any]]) -> bytes:
    if kind == "jsonl":
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    if kind == "csv":
        lines = [f"{row['unit']},{row['metric']},{row['value']}\n" for row in rows]
        return "".join(["unit,metric,value\n", *lines]).encode()
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


@pytest.mark.slow
def test_a_report_is_written(served: Served, run: Run, file: Path, tmp_path: Path, capsys: Capture) -> None:
    run("define", file)
    look_at(served)
    for language, word in (("en", "Audit trail"), ("ja", "監査記録")):
        page = tmp_path / f"{language}.html"
        assert run("report", "exp", "-o", page, "--language", language) == 0
        assert word in page.read_text(encoding="utf-8")
    assert f"wrote {page}" in " ".join(capsys.readouterr().err.split())
    assert run("report", "exp", "-o", tmp_path / "none" / "x.html") == 1
    assert run("report", "exp", "-o", tmp_path / "exp.json") == 0
    document = read_experiment(tmp_path / "exp.json")
    assert document.name == "exp"
    assert set(document.sentences) == {"en", "ja"}
    assert document.audit[0].action == {"en": "define", "ja": "定義"}


def test_a_store_is_backed_up_while_it_is_used_and_restored(
    served: Served, run: Run, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    run("define", file)
    assert run("backup", tmp_path / "copy.db", "--experiments-store", served.folder) == 0
    other = tmp_path / "restored"
    assert run("restore", tmp_path / "copy.db", "--experiments-store", other, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]["experiments"] == 1
    store = open_store(other)
    assert Registry(store).read("exp").revision == 1
    store.close()
    assert run("restore", tmp_path / "copy.db", "--experiments-store", other) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_logged_requests_are_written_with_their_labels(
    served: Served, run: Run, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    run("define", file)
    arrays = pack_arrays({"x": np.array([[1.5, 2.5]])})
    writer = ExposureWriter(served.rollout.store, interval=0.01)
    for number in range(20):
        writer.note_sample(writer.handle(arm(experiment="exp")), f"r{number:02}", number, arrays, arrays)
    writer.close()
    accept(served.rollout.store, [Feedback("right", 1.0, request_id="r07")])
    samples = tmp_path / "samples.jsonl"
    assert run("samples", "exp", samples, "--experiments-store", served.folder) == 0
    assert "20 requests are in" in capsys.readouterr().out
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["labels"] for line in lines] == [{"right": 1.0} if n == 7 else {} for n in range(20)]
    assert lines[3]["inputs"] == lines[3]["outputs"] == {"x": [[1.5, 2.5]]}
    assert run("samples", "none", samples, "--experiments-store", served.folder) == 1
    assert run("samples", "exp", tmp_path / "no" / "where", "--experiments-store", served.folder) == 1
    assert len(samples.read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("samples", "exp", "x.jsonl", "--experiments-store", "missing"), 2, "there is no store"),
        (("show", "none"), 1, "there is no experiment `none`"),
        (("start", ".."), 1, "cannot be the name"),
        (("show", "a/b?c#d:e"), 1, ""),
        (("show", "\udcff"), 1, ""),
        (("define", "missing.yaml"), 2, "missing.yaml"),
        (("plan", "missing.yaml"), 2, "missing.yaml"),
        (("feedback", "missing.csv"), 2, "does not exist"),
        (("feedback", __file__), 2, "ends in none of"),
        (("backup", "x.db", "--experiments-store", "missing"), 2, "there is no store"),
        (("report", "exp"), 2, "--output"),
        (("nothing",), 2, "no such command"),
        ((), 2, "needs a command"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    idle: Served, run: Run, arguments: tuple[str, ...], code: int, text: str, capsys: Capture
) -> None:
    assert run(*arguments) == code
    shown = capsys.readouterr()
    assert text in " ".join((shown.out + shown.err).split())


def test_what_the_stage_does_not_allow_fails(served: Served, run: Run, file: Path, capsys: Capture) -> None:
    run("define", file)
    assert run("advance", "exp") == 1
    assert "possible now: `start`" in " ".join(capsys.readouterr().err.split())


def test_a_mistake_in_a_file_has_its_place(served: Served, run: Run, tmp_path: Path, capsys: Capture) -> None:
    path = write_definitions(tmp_path / "wrong.yaml", {**DOCUMENT, "colour": "red"})
    assert run("define", path) == 2
    assert "wrong.yaml:5:3" in capsys.readouterr().err.replace("\n", "")
    assert served.rollout.registry.read_all() == ()


@pytest.mark.parametrize("command", ["list", "show", "plan", "define", *ACTS, "report", "feedback"])
def test_every_command_that_asks_a_server_takes_its_address(
    command: str, run: Run, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert [name for name in ("--url", "--api-key", "--key", "--ca", "--timeout") if name not in shown] == []

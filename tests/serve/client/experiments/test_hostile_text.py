"""Nothing that a server says of experiments reaches the terminal with a control character in it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from serve.client.experiments import command
from tests.serve.client.experiments.looks import make_results
from tests.serve.client.experiments.test_report import ATTACK, BEGIN, poison
from tests.serve.client.scripted import Answer, json_reply, scripted

PHASE = {
    "number": 2, "comparison": 1, "stage": "ramp", "step_percent": 5, "started_at": BEGIN,
    "by": "anne", "reason": "to see", "promoted": None,
}  # fmt: skip
DEFINITION = {
    "model": "digits",
    "control": {"name": "control", "version": "1"},
    "candidates": [{"name": "candidate", "version": "2"}],
    "planned_units": 5000,
    "alpha": 0.05,
}
EXPERIMENT = {"name": "exp", "revision": 2, "phase": PHASE, "possible": ["stop"], "definition": DEFINITION}
RESULTS = make_results()
LOOKS = {"looks": [{"at": BEGIN + place, "results": RESULTS} for place in range(2)]}
PLAN = {
    "name": "exp",
    "planned_units": 5000,
    "days": None,
    "traffic": "server",
    "assumptions": {"units_per_day": 0, "change": 0.1, "power": 0.8},
    "metrics": [
        {
            "name": "m", "kind": "mean", "is_primary": True, "value": 1.0, "detectable": None, "units": None,
            "units_at_once": 1e99, "days": 1e9,
        }
    ],
    "guardrails": [
        {"kind": "latency", "quantile": 0.95, "action": "stop", "harm": 3, "units": 10, "days": None}
    ],
    "unplanned_metrics": ["x"],
    "unplanned_guardrails": [],
}  # fmt: skip
RECEIPT = {"new": 1, "duplicate": 0, "refused": 1, "reasons": [{"place": 1, "reason": "no"}]}
CASES: dict[str, tuple[list[str], list[Any]]] = {
    "list": (["list"], [{"experiments": [EXPERIMENT]}]),
    "show": (["show", "exp"], [EXPERIMENT, RESULTS, LOOKS]),
    "plan": (["plan", "exp"], [PLAN]),
    "start": (["start", "exp"], [EXPERIMENT]),
    "feedback": (["feedback", "outcomes.jsonl"], [RECEIPT]),
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact-experiment", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return int(ended.value.code or 0)


def require_printable(text: str) -> None:
    assert text.strip()
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("case", CASES)
def test_no_control_character_is_printed(
    case: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outcomes.jsonl").write_text("{}\n")
    arguments, replies = CASES[case]
    with scripted(*(json_reply(poison(reply, ATTACK)) for reply in replies)) as server:
        code = run(monkeypatch, *arguments, "--url", server.url, *options)
    out, err = capsys.readouterr()
    assert code == (case == "feedback"), err
    require_printable(out)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, json.dumps({"error": ATTACK}).encode()),
        Answer(409, json.dumps({"error": ATTACK}).encode()),
        Answer(200, ATTACK.encode()),
        Answer(200, b'{"experiments": NaN, "x": 1e999}'),
        json_reply([ATTACK]),
        json_reply({ATTACK: ATTACK}),
        json_reply({"experiments": [{"name": ATTACK}], "name": 3, "new": -1}),
    ],
)
def test_a_reply_that_is_none_is_one_error(
    case: str,
    answer: Answer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outcomes.jsonl").write_text("{}\n")
    with scripted(answer) as server:
        assert run(monkeypatch, *CASES[case][0], "--url", server.url) == 1
    require_printable(capsys.readouterr().err)


@pytest.mark.parametrize("value", [1e200, -1e200, 10**30, True, "1", [], {}])
@pytest.mark.parametrize("field", ["effect", "low"])
def test_a_number_that_is_none_is_one_error_or_shown(
    field: str, value: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = make_results()
    results["metrics"][0][field] = value
    looks = {"looks": [{"at": BEGIN, "results": results}]}
    with scripted(*map(json_reply, (EXPERIMENT, results, looks))) as server:
        assert run(monkeypatch, "show", "exp", "--url", server.url) in (0, 1)
    require_printable("".join(capsys.readouterr()))


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
def test_a_number_that_json_does_not_have_is_not_passed_on(
    number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(Answer(200, f'{{"experiments": [], "x": {number}}}'.encode())) as server:
        assert run(monkeypatch, "list", "--json", "--url", server.url) == 1
    out, err = capsys.readouterr()
    assert (out, "is not finite" in err) == ("", True)

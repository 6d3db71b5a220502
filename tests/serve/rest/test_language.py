"""The language of errors and sentences is the one that the request asks for, and English without one."""

import json
from typing import Any

import pytest

from serve.drift.judging import report_without
from serve.rest.language import choose_language, tell, tell_change
from tests.serve.in_process import Client

JAPANESE = {"Accept-Language": "ja-JP,ja;q=0.9,en-US;q=0.8,en;q=0.7"}
INPUT = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("JA-jp", "ja"),
        (JAPANESE["Accept-Language"], "ja"),
        ("en, ja", "en"),
        ("fr, ja;q=0.2", "ja"),
        ("fr", "en"),
        ("*", "en"),
        ("ja;q=0", "en"),
        ("ja;q=nan, en;q=0.1", "en"),
        ("ja;q=x", "en"),
        (",;q=,;;ja", "en"),
        ("de," * 10_000 + "ja", "en"),
    ],
)
def test_the_most_preferred_language_that_is_there_is_chosen(accepted: str, language: str) -> None:
    assert choose_language(accepted) == language


@pytest.mark.parametrize(
    ("method", "path", "content", "told"),
    [
        ("GET", "/v2/models/nothing", None, "不明なモデルです：`nothing` はありません。モデル："),
        ("POST", "/v2/models/nothing/infer", {"inputs": [INPUT]}, "不明なモデルです：`nothing` はありません"),
        ("POST", "/v2/models/classifier/infer", {"inputs": 1}, "`inputs` がないか、リストではありません"),
        ("POST", "/v2/repository/models/nothing/load", {}, "`nothing` を読み込めませんでした："),
        (
            "PUT",
            "/adaptact/v1/models/classifier/aliases/x",
            {"version": "7"},
            "エイリアス `x` は、応答していないモデル `classifier` のバージョン `7` を指せません。",
        ),
    ],
)
def test_an_error_is_told_in_the_language(
    client: Client, method: str, path: str, content: Any, told: str
) -> None:
    body = None if content is None else json.dumps(content)
    plain = client.request(method, path, body)
    answered = client.request(method, path, body, JAPANESE)
    assert answered.status_code == plain.status_code >= 400
    assert answered.json()["error"].startswith(told)
    assert answered.headers["content-language"] == "ja"
    assert answered.headers["vary"] == "Accept-Language"
    assert plain.json()["error"].isascii()
    assert "content-language" not in plain.headers


def test_why_an_experiment_was_paused_is_told_and_what_people_wrote_is_not() -> None:
    change = "`a` is version `2` of `m`, which does not answer now; load it again, or start anew with another"
    told = tell_change(f"phase 3, paused: it cannot go on: {change}", "ja")
    assert told.startswith(
        "phase 3, paused: it cannot go on: `a` は `m` のバージョン `2` ですが、今は応答していません。"
    )
    assert tell_change("there is no model `a`", "ja") == "there is no model `a`"
    assert tell_change(change, "en") == change


def test_why_there_is_no_drift_is_told_in_the_language() -> None:
    summary = report_without("m", "1").summary
    assert tell(summary, "ja").startswith("基準がありません。")
    assert tell(summary, "en") == summary

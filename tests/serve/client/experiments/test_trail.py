"""The audit trail in the language of the report."""

import re
from collections import defaultdict

import pytest

from adaptact.languages.spoken import speak
from serve.client.experiments.trail import describe_detail, explain_reason, name_author
from serve.client.experiments.words import name_word
from serve.experiments.reasons import FILE, REASONS, name_harms
from serve.experiments.stages import ACTS, STAGES

REASON = "reason that somebody wrote"
HARMS = name_harms([("error_rate", "v2"), ("latency", "v2"), ("error_rate", "v2")])
GIVEN = defaultdict(lambda: "17", harms=HARMS)


@pytest.mark.parametrize("cause", REASONS)
def test_reasons_of_the_server_are_in_the_language(cause: str) -> None:
    reason = REASONS[cause].format_map(GIVEN)  # type: ignore[index]
    assert explain_reason(reason).replace("`", "") == reason.replace("`", "").replace("_", " ")
    with speak("ja"):
        assert not re.findall(r"[a-z]{3,}", explain_reason(reason))


def test_harms_are_named_once_each() -> None:
    with speak("ja"):
        assert explain_reason(f"a guardrail: {HARMS}") == "ガードレール：v2 のエラー率、v2 のレイテンシ"


@pytest.mark.parametrize("stage", STAGES)
def test_phases_are_in_the_language(stage: str) -> None:
    with speak("ja"):
        assert not re.findall("[a-z]", describe_detail(f"phase 3, {stage} at 0.5 %"))
        assert describe_detail(f"phase 3, {stage}: {REASON}").endswith(f"：{REASON}")


@pytest.mark.parametrize("act", [*ACTS, "define"])
def test_acts_are_in_the_language(act: str) -> None:
    assert name_word(act) == act
    with speak("ja"):
        assert not re.findall("[a-z]", name_word(act))


@pytest.mark.parametrize(
    "text", ["", REASON, "phase x, ramp", "phase 1, ramp at 1..2 %", "a guardrail:", "{}"]
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    with speak("ja"):
        assert (explain_reason(text), name_word(text), name_author(text)) == (text, text, text)
        assert describe_detail(text) == text


def test_the_file_of_definitions_is_an_author() -> None:
    assert name_author(FILE) == FILE
    with speak("ja"):
        assert name_author(FILE) == "実験の定義ファイル"

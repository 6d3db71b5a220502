"""The audit trail in the language of the report."""

import re
from collections import defaultdict

import pytest

from serve.client.experiments.trail import Trail
from serve.experiments.reasons import FILE, REASONS, name_harms
from serve.experiments.stages import ACTS, STAGES

REASON = "reason that somebody wrote"
HARMS = name_harms([("error_rate", "v2"), ("latency", "v2"), ("error_rate", "v2")])
GIVEN = defaultdict(lambda: "17", harms=HARMS)


@pytest.mark.parametrize("cause", REASONS)
def test_reasons_of_the_server_are_in_the_language(cause: str) -> None:
    reason = REASONS[cause].format_map(GIVEN)  # type: ignore[index]
    assert not re.findall(r"[a-z]{3,}", Trail("ja").explain(reason))
    assert Trail("en").explain(reason).replace("`", "") == reason.replace("`", "").replace("_", " ")


def test_harms_are_named_once_each() -> None:
    assert Trail("ja").explain(f"a guardrail: {HARMS}") == "ガードレール：v2 のエラー率、v2 のレイテンシ"


@pytest.mark.parametrize("stage", STAGES)
def test_phases_are_in_the_language(stage: str) -> None:
    assert not re.findall("[a-z]", Trail("ja").describe(f"phase 3, {stage} at 0.5 %"))
    assert Trail("ja").describe(f"phase 3, {stage}: {REASON}").endswith(f"：{REASON}")


@pytest.mark.parametrize("act", [*ACTS, "define"])
def test_acts_are_in_the_language(act: str) -> None:
    assert Trail("en").name_act(act) == act
    assert not re.findall("[a-z]", Trail("ja").name_act(act))


@pytest.mark.parametrize(
    "text", ["", REASON, "phase x, ramp", "phase 1, ramp at 1..2 %", "a guardrail:", "{}"]
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    trail = Trail("ja")
    assert (trail.explain(text), trail.name_act(text), trail.name_author(text)) == (text, text, text)
    assert trail.describe(text) == text


def test_the_file_of_definitions_is_an_author() -> None:
    assert Trail("en").name_author(FILE) == FILE
    assert Trail("ja").name_author(FILE) == "実験の定義ファイル"

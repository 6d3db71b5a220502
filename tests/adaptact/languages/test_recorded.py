"""Sentences that were recorded in English, told in another language."""

import pytest

from adaptact.languages.recorded import LONGEST_SENTENCE, retell
from adaptact.languages.spoken import speak

MOVED = (
    "It differs from the fixed point at ReLU() by 0.8 on average on these inputs, "
    "and by 2 at most, at x = −4."
)
TOLD = "不動点 ReLU()との差は、これらの入力で平均 0.8、最大 2（x = −4）です。"


def test_sentences_are_told_one_by_one() -> None:
    with speak("ja"):
        assert retell(MOVED) == TOLD
        assert retell(f"{MOVED} Nobody wrote this. {MOVED}") == f"{TOLD}Nobody wrote this.{TOLD}"
    assert retell(MOVED) == MOVED


@pytest.mark.parametrize(
    "text", ["", "loss", "candidate", "Somebody wrote this.", "{mean} {0}", "x" * 5000, "\\1 a"]
)
def test_what_nobody_of_us_wrote_stays_as_it_is(text: str) -> None:
    with speak("ja"):
        assert retell(text) == text


def test_names_within_a_sentence_stay_as_they_are() -> None:
    with speak("ja"):
        assert retell("input `candidate` moves no output") == "入力 `candidate` はどの出力も動かしません"


def test_a_sentence_that_is_too_long_to_try_stays_as_it_is() -> None:
    places = "a" * LONGEST_SENTENCE
    with speak("ja"):
        assert retell(f"From {places}: y; y; y.") == f"From {places}: y; y; y."
        assert retell(f"{MOVED} From {places}: y; y; y.").startswith(TOLD)

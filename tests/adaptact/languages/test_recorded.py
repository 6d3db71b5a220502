"""Sentences that were recorded in English, told in another language."""

import re
from string import Formatter
from time import process_time

import pytest

from adaptact.languages.catalogue import list_messages, translate
from adaptact.languages.recorded import LONGEST_SENTENCE, _count_english, retell, retell_set
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


def test_every_message_is_known_again_by_its_words() -> None:
    whole = [text for text in list_messages() if " " in text and len(re.sub(r"\{\w+\}|\W", "", text)) > 4]
    assert len(whole) > 1000
    with speak("ja"):
        for message in whole:
            names = [name for _, name, _, _ in Formatter().parse(message) if name]
            if all(name.isidentifier() for name in names):
                values = {name: "bends the curve" if name == "does" else "7" for name in names}
                told = retell(translate(message, "en", **values))
                assert _count_english(told) <= _count_english(translate(message, "ja", **values)), message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "model `x` version `1` is not ready: `config.toml` has an unknown key `inputz`; did you mean "
            "`inputs`? known: `a`, `b`; the file that was loaded before still serves",
            "モデル `x` のバージョン `1` は準備ができていません："
            "`config.toml` に不明なキー `inputz` があります。"
            "`inputs` のことですか？ 使えるもの：`a`、`b`；以前に読み込んだファイルが引き続き応答します",
        ),
        (
            "`metrics[0].kind`: expected one of: `binary`, `mean`, got the text `bin`; did you mean "
            "`binary`?; and 2 more",
            "`metrics[0].kind`：必要：次のいずれか：`binary`、`mean`、"
            "実際：テキスト `bin`；`binary` のことですか？；ほか 2 件",
        ),
        (
            "PSI is 0.3, and the limit is 0.1; KS is 0.2, NaN alone 0.1, and the limit is 0.125",
            "PSI は 0.3、限度は 0.1；KS は 0.2、NaN だけで 0.1、限度は 0.125",
        ),
        ("`m` cannot be read: Permission denied", "`m` を読めません：権限がありません"),
        ("unloaded", "解放済み"),
        (
            "model `x` version `1` is not ready: unloaded",
            "モデル `x` のバージョン `1` は準備ができていません：解放済み",
        ),
        ("output `scores` was off by 1e-3", "output `scores` was off by 1e-3"),
        (
            "`instances[0]` is `{'text': 'a', 'pair': 'b'}`, expected a text, as the first, or "
            '`{"text": "...", "text_pair": "..."}` for two; it has `pair`: did you mean `text_pair`?',
            "`instances[0]` は `{'text': 'a', 'pair': 'b'}` です。"
            "最初のものと同じくテキスト、または 2 つなら "
            '`{"text": "...", "text_pair": "..."}` が必要です；`pair` があります：`text_pair` のことですか？',
        ),
        (
            "`instances[0]` has no value for `x` and has `z`, which the model does not; expected an object "
            "with exactly the model's inputs: `x`, `y`",
            "`instances[0]`：`x` の値がありません、モデルにない `z` があります。"
            "モデルの入力だけを持つオブジェクトが必要です：`x`、`y`",
        ),
    ],
)
def test_phrases_in_the_places_of_a_message_are_told_too(text: str, told: str) -> None:
    with speak("ja"):
        assert retell(text) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("large", "大きい値"),
        ("typical, batch 3", "典型的な値、バッチ 3"),
        ("mask all 0", "mask がすべて 0"),
        ("x all zero", "x がすべて ゼロ"),
        ("ids 0 to 1000", "ids が 0～1000"),
        ("given, 64 … 128", "与えられたもの、64 … 128"),
        ("other sizes, height 3, width 5", "別の大きさ、height 3, width 5"),
        ("anything", "anything"),
    ],
)
def test_names_of_sets_of_samples_are_told(name: str, told: str) -> None:
    with speak("ja"):
        assert retell_set(name) == told
    assert retell_set(name) == name


@pytest.mark.parametrize(
    "part",
    ["a b, ", "{n} is y, and the limit is z; ", "x{n} (a {n}; b, ", "`: expected, got `", "In. Stage {n} "],
)
def test_a_hostile_text_takes_little_time(part: str) -> None:
    text = "".join(part.replace("{n}", str(number)) for number in range(200))[:LONGEST_SENTENCE]
    with speak("ja"):
        retell("the catalogue is read once")
        began = process_time()
        retell(text)
        assert process_time() - began < 1  # 2 ms on an idle machine; with backtracking it was minutes

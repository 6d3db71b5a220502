import pytest

from adaptact.text import escape, escape_line, first_line, isolate
from tests.adaptact.hostile import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_what_moves_the_cursor_is_marked(text: str) -> None:
    escaped = escape(f"a{text}b")
    assert escaped.isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in escaped
    assert len(escaped) == len(text) + 2


def test_printable_text_stays() -> None:
    assert escape("|Δ| ≤ 1e-4, `λ` [0, 7]\nhint") == "|Δ| ≤ 1e-4, `λ` [0, 7]\nhint"


@pytest.mark.parametrize(
    "text", ["ad\u200bmin", "ad\u3164min", "ad\u2800min", "ad\u2066min", "ad\U000e0041min"]
)
def test_what_hides_is_marked(text: str) -> None:
    assert escape(text) == "ad\N{REPLACEMENT CHARACTER}min"


def test_spaces_and_variants_of_japanese_texts_stay() -> None:
    assert escape("東京\u3000葛\U000e0100飾\u00a0区") == "東京\u3000葛\U000e0100飾\u00a0区"


def test_words_from_right_to_left_are_set_apart() -> None:
    assert isolate("אבג דה is better: 5") == "\u2068אבג דה\u2069 is better: 5"
    assert isolate("画像 is better") == "画像 is better"


def test_a_line_holds_no_newline() -> None:
    assert escape_line("a\nb") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(("longest", "escaped"), [(3, "abc…"), (4, "abcd"), (None, "abcd")])
def test_long_text_is_cut(longest: int | None, escaped: str) -> None:
    assert escape("abcd", longest) == escaped


def test_escaping_twice_changes_nothing() -> None:
    once = escape("\x1b" * 5000)
    assert escape(once) == once


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  first \nsecond"), "first"),
        (ValueError(" \n"), "ValueError"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 400), "x" * 300),
        (ValueError("\nThese differ:\n - a\n\n - b\n"), "These differ: - a - b"),
        (ValueError("These differ:\n" + "x" * 400), "These differ: " + "x" * 286),
    ],
)
def test_the_first_line_of_an_error_is_not_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_the_first_line_has_the_length_asked_for() -> None:
    assert first_line(ValueError("x" * 400), longest=350) == "x" * 350

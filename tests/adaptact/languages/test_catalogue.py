"""Texts in a language, with their values."""

import pytest

from adaptact.languages.catalogue import LANGUAGES, Language, translate, translate_count
from adaptact.languages.joining import join_list, join_sentences

HOSTILE = "{0} {candidate.__class__} %s <b>"


def test_a_text_is_translated_and_filled_in() -> None:
    assert translate("{candidate} is harmful.", "ja", candidate="v2") == "v2 は有害です。"
    assert translate("{candidate} is harmful.", "en", candidate="v2") == "v2 is harmful."


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_are_never_read_as_texts(language: Language) -> None:
    assert HOSTILE in translate("{candidate} is harmful.", language, candidate=HOSTILE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", "no such text", HOSTILE])
def test_what_the_catalogue_does_not_hold_stays_as_it_is(text: str, language: Language) -> None:
    assert translate(text, language) == text


def test_counts_have_the_form_of_their_language() -> None:
    said = [
        translate_count("{number} day", "{number} days", number, language)
        for language in LANGUAGES
        for number in (1, 2000)
    ]
    assert said == ["1 day", "2,000 days", "1 日", "2,000 日"]


def test_lists_and_sentences_are_put_together_as_in_the_language() -> None:
    assert [join_list(["a", "b"], language) for language in LANGUAGES] == ["a, b", "a、b"]
    assert [join_sentences(["A。", "B。"], language) for language in LANGUAGES] == ["A。 B。", "A。B。"]

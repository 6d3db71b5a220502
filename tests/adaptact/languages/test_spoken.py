"""The language that is spoken: within a block, and from the environment."""

from collections.abc import Mapping
from threading import Thread

import pytest

from adaptact.languages.spoken import choose_language, say, say_all, say_count, speak, spoken


def test_a_language_is_spoken_within_its_block_only() -> None:
    with speak("ja"):
        with speak("en"):
            assert say("candidate") == "candidate"
        assert say_all("candidate", "control") == ("候補", "対照")
        assert say_count("{number} day", "{number} days", 3) == "3 日"
    assert (spoken(), say("candidate")) == ("en", "candidate")


def test_an_error_ends_the_block_too() -> None:
    with pytest.raises(ValueError, match="x"), speak("ja"):
        raise ValueError("x")
    assert spoken() == "en"


def test_threads_do_not_hear_each_other() -> None:
    heard: list[str] = []
    with speak("ja"):
        thread = Thread(target=lambda: heard.append(say("candidate")))
        thread.start()
        thread.join()
    assert heard == ["candidate"]


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "JA"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": ""}, "ja"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "\udcff/../../x"}, "en"),
    ],
)
def test_the_environment_asks_for_a_language(environment: Mapping[str, str], language: str) -> None:
    assert choose_language(environment) == language

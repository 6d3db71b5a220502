import os
from pathlib import Path

import pytest

from convert.manifest.providers import CandidateRecord, ProviderChoiceRecord
from serve.engine.choosing import cache
from serve.engine.choosing.cache import LOCK, ChoiceCache

CHOICE = ProviderChoiceRecord(
    *("openvino", 1, "EPYC", {"onnxruntime": "1.32.0"}, (1, 8), 1.0, 0.9, "random inputs"),
    (CandidateRecord("cpu", 1, (2.0, 9.0), 1.0, 15, "slower"),),
    "it is faster",
)


def test_a_choice_is_found_again(tmp_path: Path) -> None:
    ChoiceCache(tmp_path).write("k", CHOICE)
    assert ChoiceCache(tmp_path).read("k") == CHOICE
    assert ChoiceCache(tmp_path).read("other") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"provider": 3}', '{"provider": NaN}', "9" * 100_000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: str) -> None:
    choices = ChoiceCache(tmp_path)
    (tmp_path / "k.json").write_text(content)
    assert choices.read("k") is None
    choices.write("k", CHOICE)
    assert choices.read("k") == CHOICE


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    choices = ChoiceCache(tmp_path / "own")
    choices.write("k", CHOICE)
    (tmp_path / "own" / "link.json").symlink_to(tmp_path / "own" / "k.json")
    os.mkfifo(tmp_path / "own" / "pipe.json")
    assert choices.read("link") is None
    assert choices.read("pipe") is None


def test_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 2)
    choices = ChoiceCache(tmp_path)
    for number, key in enumerate("abc"):
        choices.write(key, CHOICE)
        if (tmp_path / f"{key}.json").exists():
            os.utime(tmp_path / f"{key}.json", (number, number))
    assert [choices.read(key) is not None for key in "abc"] == [False, True, True]


def test_a_folder_that_is_no_folder_is_replaced_by_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "file").write_text("")
    ChoiceCache(tmp_path / "file").write("k", CHOICE)
    assert ChoiceCache(None).read("k") == CHOICE


def test_without_any_folder_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "_list_folders", lambda chosen: iter(()))
    choices = ChoiceCache(tmp_path)
    choices.write("k", CHOICE)
    with choices.lock():
        assert choices.read("k") is None
    assert "each worker measures for itself" in caplog.text


def test_where_nothing_can_be_locked_each_measures_for_itself(tmp_path: Path) -> None:
    choices = ChoiceCache(tmp_path)
    (tmp_path / LOCK).symlink_to("elsewhere")
    with choices.lock():
        choices.write("a", CHOICE)
    assert choices.read("a") == CHOICE

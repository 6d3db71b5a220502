import os
from contextlib import suppress
from pathlib import Path

import pytest

from serve.engine.weights.folder import NAME, WeightsFolder, find_usual_folder

KEYS = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture
def folder(tmp_path: Path) -> WeightsFolder:
    return WeightsFolder(tmp_path, limit_bytes=250)


def own(folder: Path) -> Path:
    return folder / f"{NAME}-{os.geteuid()}"


def put(folder: WeightsFolder, key: str, used: int = 0) -> None:
    with folder.try_lock(key, alone=True) as is_held, folder.make(key) as new:
        assert is_held
        (new / "weights").write_bytes(bytes(100))
    os.utime(folder.entry(f"{key}.lock"), (used, used))


def test_it_is_for_its_owner_alone(tmp_path: Path, folder: WeightsFolder) -> None:
    assert own(tmp_path).stat().st_mode & 0o777 == 0o700
    own(tmp_path).chmod(0o750)
    with pytest.raises(PermissionError, match="open to other users"):
        WeightsFolder(tmp_path, 1)


def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{NAME}-12345").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PermissionError, match="another user"):
        WeightsFolder(tmp_path, 1)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    own(tmp_path).symlink_to("other")
    with pytest.raises(NotADirectoryError):
        WeightsFolder(tmp_path, 1)


def test_it_stays_itself_when_a_link_takes_its_place(tmp_path: Path, folder: WeightsFolder) -> None:
    own(tmp_path).rename(tmp_path / "moved")
    (tmp_path / "planted").mkdir()
    own(tmp_path).symlink_to("planted")
    put(folder, KEYS[0])
    assert (tmp_path / "moved" / KEYS[0]).is_dir()
    assert list((tmp_path / "planted").iterdir()) == []


def test_many_read_and_one_writes(folder: WeightsFolder) -> None:
    with folder.try_lock(KEYS[0], alone=False) as first, folder.try_lock(KEYS[0], alone=False) as second:
        assert (first, second) == (True, True)
        with folder.try_lock(KEYS[0], alone=True) as third:
            assert not third
    with folder.try_lock(KEYS[0], alone=True) as first, folder.try_lock(KEYS[0], alone=False) as second:
        assert (first, second) == (True, False)


def test_a_failed_entry_leaves_nothing(tmp_path: Path, folder: WeightsFolder) -> None:
    with suppress(OSError), folder.make(KEYS[0]) as new:
        (new / "half").touch()
        raise OSError("full")
    assert list(own(tmp_path).iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_others_write_stays(
    tmp_path: Path, folder: WeightsFolder
) -> None:
    for key in KEYS[:2]:
        (own(tmp_path) / f"{key}.new").mkdir()
        (own(tmp_path) / f"{key}.new" / "half").touch()
    with folder.try_lock(KEYS[1], alone=True):
        folder.remove_unfinished()
    assert [path.name for path in own(tmp_path).glob("*.new")] == [f"{KEYS[1]}.new"]


def test_who_waited_for_a_process_that_was_killed_makes_the_entry(
    tmp_path: Path, folder: WeightsFolder
) -> None:
    (own(tmp_path) / f"{KEYS[0]}.new").mkdir()
    (own(tmp_path) / f"{KEYS[0]}.new" / "half").touch()
    put(folder, KEYS[0])
    assert [path.name for path in folder.entry(KEYS[0]).iterdir()] == ["weights"]


def test_what_is_no_entry_is_left_as_it_is(tmp_path: Path, folder: WeightsFolder) -> None:
    (own(tmp_path) / "notes.new").mkdir()
    folder.remove_unfinished()
    assert [path.name for path in own(tmp_path).iterdir()] == ["notes.new"]


def test_what_was_used_longest_ago_goes_unless_it_is_in_use(tmp_path: Path, folder: WeightsFolder) -> None:
    for used, key in enumerate(KEYS):
        put(folder, key, used)
    with folder.try_lock(KEYS[0], alone=False):
        os.utime(own(tmp_path) / f"{KEYS[0]}.lock", (0, 0))
        folder.trim()
    assert [folder.entry(key).exists() for key in KEYS] == [True, True, True]
    os.utime(own(tmp_path) / f"{KEYS[0]}.lock", (0, 0))
    folder.trim()
    assert [folder.entry(key).exists() for key in KEYS] == [False, True, True]
    assert not (own(tmp_path) / f"{KEYS[0]}.lock").exists()


def test_systemd_names_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/adaptact:/var/cache/other")
    assert find_usual_folder() == Path("/var/cache/adaptact")
    monkeypatch.delenv("CACHE_DIRECTORY")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert find_usual_folder() == Path("/caches/adaptact/weights")

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serve.sources import fetching, mirror
from serve.sources.copy import OWN, STAGING, LocalCopy
from serve.sources.errors import SourceError
from serve.sources.status import read_status
from tests.serve.sources.doubles import Mirrored, sha256

MODEL = "digits/1/model.onnx"


def test_the_copy_is_what_the_source_has_and_nothing_is_fetched_twice(mirrored: Mirrored) -> None:
    status = mirrored.synchronise()
    assert mirrored.list_files() == mirrored.source.files
    assert (status.is_up, status.error, status.bytes, status.refusals) == (True, "", 12, {})
    mirrored.source.opened.clear()
    assert mirrored.synchronise(is_first=True).bytes == 12
    assert mirrored.source.opened == []


def test_a_version_that_changes_in_place_is_replaced_as_a_whole(mirrored: Mirrored) -> None:
    mirrored.source.files["digits/1/old.data"] = b"old"
    mirrored.synchronise()
    before = (mirrored.folder / MODEL).stat().st_ino
    mirrored.source.files |= {MODEL: b"new", "digits/1/new.data": b"weights"}
    del mirrored.source.files["digits/1/old.data"]
    mirrored.synchronise()
    assert mirrored.list_files() == mirrored.source.files
    assert (mirrored.folder / MODEL).stat().st_ino != before


def test_files_beside_the_versions_follow(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    mirrored.source.files["digits/labels.txt"] = b"a\nb\n"
    del mirrored.source.files["digits/config.toml"]
    mirrored.synchronise()
    assert mirrored.list_files() == mirrored.source.files
    del mirrored.source.files["digits/labels.txt"]
    mirrored.synchronise()
    assert mirrored.list_files() == mirrored.source.files


def test_a_source_that_is_away_leaves_the_copy(mirrored: Mirrored) -> None:
    succeeded = mirrored.synchronise().succeeded
    mirrored.source.is_away = True
    status = mirrored.synchronise()
    assert (status.is_up, status.error, status.succeeded) == (False, "it does not answer", succeeded)
    assert read_status(mirrored.folder) == status
    assert len(mirrored.list_files()) == 3


@pytest.mark.parametrize(
    ("removal", "left"),
    [
        ("versions", ["digits/config.toml", MODEL, "other/1/model.onnx"]),
        ("all", ["digits/config.toml", MODEL]),
        ("nothing", ["digits/config.toml", MODEL, "digits/2/model.onnx", "other/1/model.onnx"]),
    ],
)
def test_what_is_gone_is_removed_as_the_setting_says(
    mirrored: Mirrored, removal: str, left: list[str]
) -> None:
    mirrored.source.files["other/1/model.onnx"] = b"x"
    mirrored.synchronise()
    del mirrored.source.files["digits/2/model.onnx"], mirrored.source.files["other/1/model.onnx"]
    mirrored.synchronise(removal=removal)
    assert sorted(mirrored.list_files()) == sorted(left)


def test_an_empty_source_removes_nothing(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    mirrored.source.files.clear()
    assert "holds no model" in mirrored.synchronise(removal="all").error
    assert len(mirrored.list_files()) == 3


def test_only_the_latest_versions_are_taken_if_no_more_are_served(mirrored: Mirrored) -> None:
    mirrored.synchronise(latest=1)
    assert sorted(mirrored.list_files()) == ["digits/2/model.onnx", "digits/config.toml"]


def flip(_: str, content: bytes) -> Iterator[bytes]:
    yield b"?" * len(content)


def cut(_: str, content: bytes) -> Iterator[bytes]:
    yield content[:-1]


def flood(_: str, content: bytes) -> Iterator[bytes]:
    while True:
        yield content


@pytest.mark.parametrize(
    ("read", "reason"), [(flip, "should have the SHA-256"), (cut, "only 2 arrived"), (flood, "more arrived")]
)
def test_what_is_not_as_listed_is_refused_and_the_old_version_stays(
    mirrored: Mirrored, read: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    mirrored.synchronise()
    mirrored.source.files |= {MODEL: b"new", "digits/3/model.onnx": b"first"}
    mirrored.source.read = read  # type: ignore[assignment]
    status = mirrored.synchronise()
    assert reason in status.refusals["digits/1"].reason
    new, old = (record.getMessage() for record in caplog.records if "is not taken" in record.getMessage())
    assert (old.startswith("digits/1"), old.endswith("the earlier copy stays")) == (True, True)
    assert (new.startswith("digits/3"), new.endswith("it has no copy yet")) == (True, True)
    assert status.is_up
    assert mirrored.list_files()[MODEL] == b"one"
    assert not (mirrored.folder / OWN / STAGING).exists()


def test_what_was_refused_is_not_fetched_again_at_once(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1e9
    monkeypatch.setattr(mirror, "time", lambda: now)
    mirrored.source.read = flip
    tries = []
    for seconds in (0, 10, 31, 31, 61, 7200, -(10**8), 1):
        now += seconds
        mirrored.source.opened.clear()
        assert len(mirrored.synchronise().refusals) == 3
        tries.append(len(mirrored.source.opened))
    assert tries == [3, 0, 3, 0, 3, 3, 3, 0]
    mirrored.source.opened.clear()
    mirrored.synchronise(is_first=True)
    assert len(mirrored.source.opened) == 3


def test_files_that_do_not_arrive_are_given_up_after_three(mirrored: Mirrored) -> None:
    def fail(path: str, content: bytes) -> Iterator[bytes]:
        raise SourceError("cut off")
        yield content

    mirrored.source.files |= {f"m/{number}/model.onnx": b"x" for number in range(1, 9)}
    mirrored.source.read = fail
    status = mirrored.synchronise()
    assert status.error == "3 parts in a row did not arrive: cut off"
    assert len(mirrored.source.opened) == 3


def test_a_drip_is_given_up(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 50))
    monkeypatch.setattr(fetching, "monotonic", lambda: next(clock))
    mirrored.source.files = {MODEL: b"x" * 100}
    mirrored.source.read = lambda _, content: iter(bytes([each]) for each in content)
    assert "arrives too slowly: 2 bytes" in mirrored.synchronise().refusals["digits/1"].reason


def test_a_full_disk_leaves_what_is_there_and_takes_the_rest(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.synchronise()
    mirrored.source.files |= {MODEL: b"new", "digits/2/model.onnx": b"newer"}
    real = os.write

    def write(descriptor: int, piece: bytes) -> int:
        if bytes(piece) == b"new":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, piece)

    monkeypatch.setattr("os.write", write)
    status = mirrored.synchronise()
    assert "No space left" in status.refusals["digits/1"].reason
    assert mirrored.list_files() == mirrored.source.files | {MODEL: b"one"}


def test_a_version_larger_than_the_free_disk_is_not_begun(mirrored: Mirrored) -> None:
    huge = 10**15
    mirrored.source.alter = lambda file: replace(file, size=huge) if file.path == MODEL else file
    status = mirrored.synchronise(limit_bytes=10 * huge)
    assert "the disk of the copy" in status.refusals["digits/1"].reason
    assert MODEL not in mirrored.source.opened
    assert "the limit is" in mirrored.synchronise(limit_bytes=7, is_first=True).refusals["digits/1"].reason


def test_sums_beside_the_model_decide(mirrored: Mirrored) -> None:
    files, mirrored.source.has_digests = mirrored.source.files, False
    files["digits/1/SHA256SUMS"] = f"{sha256(b'one')}  model.onnx\n".encode()
    files["digits/2/SHA256SUMS"] = f"{sha256(b'other')} *./model.onnx\n".encode()
    files["digits/SHA256SUMS"] = (
        f"{sha256(b'# none')}  config.toml\n{sha256(b'one')}  1/model.onnx\n".encode()
    )
    status = mirrored.synchronise(require_digests=True)
    assert list(status.refusals) == ["digits/2"]
    assert MODEL in mirrored.list_files()


@pytest.mark.parametrize(
    ("sums", "reason"),
    [
        (b"", "does not name `model.onnx`"),
        (b"rubbish", "is not as `sha256sum` writes them"),
        (b"\xff\xfe", "cannot be read"),
        (
            f"{sha256(b'one')}  model.onnx\n{sha256(b'x')}  weights".encode(),
            "names `weights`, which is not there",
        ),
    ],
)
def test_sums_that_do_not_fit_the_files_are_refused(mirrored: Mirrored, sums: bytes, reason: str) -> None:
    mirrored.source.files["digits/1/SHA256SUMS"] = sums
    assert reason in mirrored.synchronise().refusals["digits/1"].reason


def test_digests_can_be_required(mirrored: Mirrored) -> None:
    mirrored.source.has_digests = False
    status = mirrored.synchronise(require_digests=True)
    assert len(status.refusals) == 3
    assert mirrored.list_files() == {}


def test_a_copy_that_was_damaged_is_fetched_anew(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    path = mirrored.folder / MODEL
    stamp = path.stat()
    path.write_bytes(b"0ne")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (mirrored.folder / "digits/2/model.onnx").unlink()
    mirrored.synchronise(is_first=True)
    assert mirrored.list_files() == mirrored.source.files


def test_a_file_that_was_changed_here_is_fetched_anew(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    (mirrored.folder / MODEL).write_bytes(b"mine")
    mirrored.synchronise()
    assert mirrored.list_files() == mirrored.source.files


def test_a_process_that_ends_between_two_renames_loses_nothing(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.synchronise()
    mirrored.source.files[MODEL] = b"new"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _kill_at_second(Path.rename))
        with pytest.raises(KeyboardInterrupt):
            mirrored.synchronise()
    assert MODEL not in mirrored.list_files()
    mirrored.source.is_away = True
    mirrored.synchronise()
    assert mirrored.list_files()[MODEL] == b"one"


def _kill_at_second(real: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    """The first rename is made, and nothing after it."""
    calls: list[Path] = []

    def rename(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(path, target)

    return rename


def test_two_servers_share_a_copy_and_one_of_them_writes(mirrored: Mirrored) -> None:
    first = mirrored.synchronise()
    with LocalCopy(mirrored.folder).lock(waits=False) as is_ours:
        assert is_ours
        mirrored.source.files["digits/3/model.onnx"] = b"three"
        assert mirrored.synchronise() == first
    assert "digits/3/model.onnx" not in mirrored.list_files()


def test_a_copy_of_another_source_is_not_touched(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    with pytest.raises(SourceError, match="is a copy of `s3://models`"):
        mirrored.synchronise(url="s3://others")


def test_a_folder_with_other_files_is_not_touched(mirrored: Mirrored) -> None:
    mirrored.folder.mkdir()
    (mirrored.folder / "mine.onnx").write_bytes(b"mine")
    with pytest.raises(SourceError, match="holds other files"):
        mirrored.synchronise()
    assert [path.name for path in mirrored.folder.iterdir()] == ["mine.onnx"]


def test_a_status_that_is_damaged_is_none(mirrored: Mirrored) -> None:
    mirrored.synchronise()
    (mirrored.folder / OWN / "status.json").write_text('{"refusals": []}')
    assert mirrored.synchronise().is_up

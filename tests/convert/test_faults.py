"""Disks, folders and processes that fail: the file at the destination is the old one or a whole new one."""

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convert.artefact.destination import require_writable
from convert.artefact.placement import Placement
from convert.errors import DestinationError
from convert.pipeline import convert
from tests.convert.artefact.test_external import _make_graph, _run, _write
from tests.convert.isolated import NOBODY, limit_file_size, run_isolated
from tests.convert.sources import files

KILLS = int(os.environ.get("ADAPTACT_KILLS", "6"))
MODES: tuple[Placement, ...] = ("always", "never")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for inner in folder.rglob("*"):
            if inner.is_dir():
                inner.chmod(0o755)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 KiB: room for one model of 16 KiB and its manifest, not for many."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _read_content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _read_versions(folder: Path) -> set[str]:
    """The names of the files, but for what a killed process began and nobody reads."""
    return {name for name in os.listdir(folder) if not name.startswith(".")}


def _kill_while_writing(destination: Path, mode: Placement, seconds: float) -> None:
    """Ends a process that writes two models by turns, again and again, after so many seconds of that."""
    models = (_make_graph(1), _make_graph(2))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"stages")
        for turn in range(10**6):
            _write(models[turn % 2], destination, mode)
        os._exit(0)
    os.read(reading, 5)
    os.close(reading)
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("old", [False, True], ids=["nothing there", "an old file there"])
def test_a_kill_at_any_moment_leaves_no_file_or_a_whole_one(
    tmp_path: Path, mode: Placement, old: bool
) -> None:
    destination, chance = tmp_path / "m.onnx", random.Random(f"{mode} {old}")
    answers = set[float | None]()
    kills = 0
    # It comes before the end of the first write, and after, though the machine be busy.
    while kills < KILLS or (len(answers) < 2 and kills < 10 * KILLS):
        kills += 1
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
        if old:
            _write(_make_graph(3), destination, mode)
        _kill_while_writing(destination, mode, chance.uniform(0, 0.002 * kills))
        answers.add(_run(destination) if destination.exists() else None)
    assert answers <= ({1, 2, 3} if old else {1, 2, None})
    assert len(answers) > 1


def _kill_at_stage(stage: str, source: Path, destination: Path) -> bool:
    """Whether an export, in a process of its own, came to this stage, and was killed there."""

    def on_stage(stages: str) -> None:
        if stages == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        convert(source, destination, external_data="always", on_stage=on_stage)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_a_kill_at_any_stage_leaves_the_old_file(tmp_path: Path) -> None:
    source, stages = files.write_onnx(tmp_path / "m.onnx"), list[str]()
    convert(source, tmp_path / "whole.onnx", on_stage=stages.append)
    destination = tmp_path / "out.onnx"
    destination.write_bytes(b"old")
    for stage in stages:
        assert _kill_at_stage(stage, source, destination), stage
        assert destination.read_bytes() == b"old"
    assert stages[0] == "load"
    assert stages[-1] == "write"


@pytest.mark.parametrize("mode", MODES)
def test_a_file_size_limit_keeps_the_old_pair(tmp_path: Path, mode: Placement) -> None:
    destination = tmp_path / "m.onnx"
    _write(_make_graph(1), destination, mode)
    before = _read_content(tmp_path)
    failed = run_isolated(limit_file_size(lambda: _write(_make_graph(2), destination, mode), file_bytes=8192))
    assert failed.kind == "DestinationError"
    assert "cannot write" in failed.message
    assert "File too large" in failed.message
    assert "bytes there" in str(failed.hint)
    assert _read_content(tmp_path) == before


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_keeps_the_old_pair(small_disk: Path, mode: Placement) -> None:
    destination = small_disk / "m.onnx"
    _write(_make_graph(1), destination, mode)
    (small_disk / "other").write_bytes(b"x" * 64 * 1024)
    before = _read_content(small_disk)
    with pytest.raises(DestinationError, match="No space left on device") as failed:
        _write(_make_graph(2), destination, mode)
    assert "bytes there" in str(failed.value.hint)
    assert _read_content(small_disk) == before
    assert _run(destination) == 1


@pytest.mark.slow
def test_an_export_to_a_full_disk_leaves_it_unchanged(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 96 * 1024)
    with pytest.raises(DestinationError, match="No space left on device"):
        convert(files.write_onnx(tmp_path / "m.onnx"), small_disk / "m.onnx")
    assert os.listdir(small_disk) == ["other"]


@pytest.mark.parametrize("mode", [0o555, 0o444, 0o000], ids=oct)
def test_a_forbidden_folder_keeps_the_old_file(shared: Path, mode: int) -> None:
    folder = shared / "models"
    folder.mkdir()
    destination = folder / "m.onnx"
    destination.write_bytes(b"old")
    folder.chmod(mode)
    failed = run_isolated(lambda: convert(shared / "m.pt", destination), user=NOBODY)
    assert failed.kind == "DestinationError"
    assert "Permission denied" in failed.message
    assert "m.onnx" in failed.message
    assert failed.hint
    folder.chmod(0o755)
    assert _read_content(folder) == {"m.onnx": b"old"}


def test_a_disk_that_is_read_only_is_a_clear_error(small_disk: Path) -> None:
    (small_disk / "m.onnx").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DestinationError, match="Read-only file system"):
        require_writable(small_disk / "m.onnx")
    assert _read_content(small_disk) == {"m.onnx": b"old"}


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


DESTINATIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda path: path.mkdir(), "is a folder, expected the name of a file"),
    "a pipe": (os.mkfifo, "is a device, a pipe or a socket"),
    "a socket": (_make_socket, "is a device, a pipe or a socket"),
    "a link": (lambda path: path.symlink_to("real"), "is a link to `real`"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "is a link to `nowhere`"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "is a link to `m.onnx`"),
    "a link to a device": (lambda path: path.symlink_to("/dev/null"), "is a link to `/dev/null`"),
}


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_only_files_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    made, reason = DESTINATIONS[kind]
    (tmp_path / "real").write_bytes(b"old")
    made(tmp_path / "m.onnx")
    before = (tmp_path / "m.onnx").lstat()
    with pytest.raises(DestinationError, match=reason) as refused:
        convert(tmp_path / "m.pt", tmp_path / "m.onnx")
    assert refused.value.hint
    assert (tmp_path / "m.onnx").lstat() == before
    assert _read_versions(tmp_path) == {"real", "m.onnx"}
    assert (tmp_path / "real").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/dev/null", "is a device"),
        ("none/m.onnx", "does not exist"),
        ("real/m.onnx", "does not exist"),
        ("n" * 300, "File name too long"),
        ("/proc/m.onnx", "cannot write"),
    ],
)
def test_an_impossible_destination_is_a_clear_error(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "real").write_bytes(b"old")
    with pytest.raises(DestinationError, match=reason) as refused:
        convert(tmp_path / "m.pt", tmp_path / place)
    assert refused.value.hint
    assert os.listdir(tmp_path) == ["real"]

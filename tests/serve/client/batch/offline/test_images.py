"""Folders of images that change while a run goes on, and pipes in the place of files."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from serve.client import InvalidFileError
from serve.client.batch.offline.opening import open_sources
from serve.client.batch.offline.shards import ShardSize, plan_shards, require_unchanged
from serve.protocol.descriptions import DescribedPart
from tests.serve.client.batch.doubling import metadata

PHOTOS = replace(metadata(), description={"preprocessing": DescribedPart({}, "manifest")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for name in ("a b.png", "c.png"):
        (path / name).write_bytes(b"one")
    return path


def test_an_image_that_is_overwritten_while_a_run_goes_on_is_noticed(folder: Path) -> None:
    plan = plan_shards(open_sources(folder, PHOTOS), ShardSize(1, 1), None)
    (folder / "c.png").write_bytes(b"other")  # the folder's own time stays
    (source,) = plan.sources
    require_unchanged(source)
    sent = pickle.loads(pickle.dumps(source))
    assert [batch.files for batch in sent.read(plan.shards[0], 1)] == [("a b.png",)]
    with pytest.raises(InvalidFileError, match=r"c\.png` is not what it was when the run began: 5 bytes"):
        list(sent.read(plan.shards[1], 1))


def test_a_folder_is_found_from_any_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (source,) = open_sources(Path("images"), PHOTOS)
    monkeypatch.chdir("/")
    require_unchanged(source)


def test_the_copy_of_a_folder_is_known_by_its_time(folder: Path) -> None:
    (source,) = open_sources(folder, PHOTOS)
    assert source.stamp == (0, folder.stat().st_mtime_ns)  # file systems differ in a folder's size


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.jsonl")
    with pytest.raises(InvalidFileError, match="is a pipe or a device"):
        open_sources(tmp_path / "in.jsonl", metadata())

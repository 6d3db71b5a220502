"""The copy on file systems and disks that do not do all that is asked of them."""

import errno
import os

import pytest

from serve.sources import mirror
from tests.serve.sources.doubles import Mirrored


def test_the_root_of_a_disk_is_an_empty_folder(mirrored: Mirrored) -> None:
    (mirrored.folder / "lost+found").mkdir(parents=True)
    assert mirrored.synchronise().error == ""
    assert mirrored.list_files() == mirrored.source.files


def test_a_file_system_that_does_not_sync_folders_takes_a_copy(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def sync_files_alone(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_alone)
    assert mirrored.synchronise().refusals == {}
    assert mirrored.list_files() == mirrored.source.files


def test_a_copy_can_be_served_though_its_state_cannot_be_written(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.synchronise()

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mirror, "write_status", fill)
    status = mirrored.synchronise(is_first=True)
    assert (status.is_up, status.error) == (False, "the copy cannot be written: No space left on device")
    assert mirrored.list_files() == mirrored.source.files

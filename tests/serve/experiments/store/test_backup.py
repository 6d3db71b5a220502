import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from serve.experiments.errors import StoreError
from serve.experiments.store import migrations
from serve.experiments.store.backup import Checksum, back_up, restore
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.records import Inference
from serve.experiments.store.tables import audit, metadata, outcomes, samples, schema_versions
from tests.serve.experiments.store.rows import count_rows, put_exposure, put_inference, read_rows, unit

TABLES = [table for table in metadata.sorted_tables if table is not schema_versions]


def fill(store: Store) -> None:
    for number in range(5):
        put_exposure(store, number, number + 1)
        put_inference(store, number, Inference(f"é{number}", number, 1, confidence=0.1 * number, top1=None))
    accept(store, [Feedback("m", n / 3, request_id=f"é{n}") for n in range(3000)])
    accept(store, [Feedback("m", -1e15, unit=unit(1))])
    row: dict[str, Any] = {"request_id": "r", "experiment": "e", "variant": "a", "at": 1}
    with store.write() as connection:
        connection.execute(samples.insert(), {**row, "inputs": bytes(range(256)), "outputs": b""})
        entry = {"id": "i", "at": 1, "by": "b", "action": "a", "experiment": "e", "detail": 'with "\n'}
        connection.execute(audit.insert(), entry)


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: read_rows(store, table) for table in TABLES}


def test_a_backup_is_restored_whole_into_sqlite(store: Store, tmp_path: Path) -> None:
    fill(store)
    checksums = back_up(store, tmp_path / "backup")
    restored = open_store(tmp_path / "new")
    assert restore(tmp_path / "backup", restored) == checksums
    assert everything(restored) == everything(store)
    assert checksums["outcomes"].rows == 3001
    restored.close()


def test_a_backup_of_sqlite_is_restored_whole_into_either(store: Store, tmp_path: Path) -> None:
    source = open_store(tmp_path / "source")
    fill(source)
    back_up(source, tmp_path / "backup")
    restore(tmp_path / "backup", store)
    assert everything(store) == everything(source)
    accept(store, [Feedback("m", 1.0, unit=unit(9))])
    source.close()


def test_an_empty_store_is_backed_up_and_restored(store: Store, tmp_path: Path) -> None:
    checksums = back_up(store, tmp_path / "backup")
    assert set(checksums.values()) == {Checksum()}
    assert restore(tmp_path / "backup", store) == checksums


def test_a_backup_is_one_file_and_replaces_the_one_before(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    back_up(store, folder / "backup")
    fill(store)
    back_up(store, folder / "backup")
    assert os.listdir(folder) == ["backup"]
    with sqlite3.connect(f"file:{folder / 'backup'}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_backup_is_the_state_of_one_moment_while_writing_goes_on(store: Store, tmp_path: Path) -> None:
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            # Both or none: they are sent in one transaction.
            accept(store, [Feedback("m", float(n), request_id=f"{number}") for n in (0, 1)])
            number += 1
            if number == 5:
                written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(60)
    counts = [back_up(store, tmp_path / "backup")["outcomes"].rows for _ in range(5)]
    stop.set()
    thread.join()
    assert all(count % 2 == 0 for count in counts)
    assert counts == sorted(counts)
    restored = open_store(tmp_path / "new")
    restore(tmp_path / "backup", restored)
    assert count_rows(restored, outcomes) == counts[-1] < count_rows(store, outcomes) + 1
    restored.close()


def test_a_store_that_is_not_empty_stays_as_it_is(store: Store, tmp_path: Path) -> None:
    fill(store)
    back_up(store, tmp_path / "backup")
    before = everything(store)
    with pytest.raises(StoreError, match=r"not empty.*restore into a new folder or database"):
        restore(tmp_path / "backup", store)
    assert everything(store) == before


def _change_a_value(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE outcomes SET value = value + 1 WHERE value = 1")
    connection.close()


def _delete_a_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM exposures WHERE first_at = 1")
    connection.close()


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_change_a_value, _delete_a_row, _cut, _overwrite, _empty])
def test_a_damaged_backup_is_refused_and_leaves_the_store_empty(tmp_path: Path, damage: Any) -> None:
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    fill(source)
    back_up(source, tmp_path / "backup")
    damage(tmp_path / "backup")
    with pytest.raises(StoreError, match=f"{tmp_path / 'backup'}"):
        restore(tmp_path / "backup", target)
    assert all(rows == [] for rows in everything(target).values())
    source.close()
    target.close()


def test_a_stores_own_file_is_no_backup(tmp_path: Path) -> None:
    open_store(tmp_path / "source").close()
    target = open_store(tmp_path / "target")
    with pytest.raises(StoreError, match="a store but no backup"):
        restore(tmp_path / "source" / "experiments.db", target)
    target.close()


def test_missing_backups_and_folders_are_explained(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    with pytest.raises(StoreError, match="there is no backup"):
        restore(tmp_path / "none", store)
    with pytest.raises(StoreError, match=r"cannot be read or written: No such file.*in a folder"):
        back_up(store, tmp_path / "none" / "backup")
    store.close()


def test_a_backup_of_an_older_program_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_store(tmp_path / "source")
    fill(source)
    back_up(source, tmp_path / "backup")
    before = (tmp_path / "backup").read_bytes()

    def add_nothing(connection: sa.Connection) -> None:
        """A migration that changes no table."""

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, add_nothing))
    target = open_store(tmp_path / "target")
    restore(tmp_path / "backup", target)
    assert everything(target) == everything(source)
    assert (tmp_path / "backup").read_bytes() == before
    source.close()
    target.close()


def test_a_backup_of_a_newer_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = open_store(tmp_path / "target")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, lambda connection: None))
        source = open_store(tmp_path / "source")
        back_up(source, tmp_path / "backup")
        source.close()
    with pytest.raises(StoreError, match="newer adaptact"):
        restore(tmp_path / "backup", target)
    target.close()


@pytest.mark.parametrize("name", ["experiments.db", "experiments.db-wal", "../new/experiments.db-shm"])
def test_a_backup_never_replaces_the_store_itself(name: str, tmp_path: Path) -> None:
    store = open_store(tmp_path / "new")
    fill(store)
    with pytest.raises(StoreError, match="is the store itself"):
        back_up(store, tmp_path / "new" / name)
    assert count_rows(store, outcomes) == 3001
    store.close()

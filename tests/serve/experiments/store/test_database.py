import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from serve.experiments.errors import StoreError
from serve.experiments.store import migrations
from serve.experiments.store.database import Store, make_engine, now, open_store
from serve.experiments.store.faults import explained
from serve.experiments.store.tables import audit, metadata, outcomes, phases, schema_versions


@pytest.fixture
def where(unmade: str) -> str:
    return unmade


def add_audit(store: Store, name: str) -> None:
    row = {"id": name, "at": 1, "by": "a", "action": "b", "experiment": "c", "detail": "d"}
    with store.write() as connection:
        connection.execute(audit.insert(), row)


def count(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one()


def test_the_time_goes_on_where_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, passed = now(), time.monotonic_ns()
    hour = 3_600_000_000
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * (before - hour))
    assert before <= now()
    monkeypatch.setattr(time, "monotonic_ns", lambda: passed + 1000 * hour)
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * before)
    assert now() == pytest.approx(before + hour / 2, abs=1e8)
    monkeypatch.setattr(time, "monotonic_ns", lambda: passed + 2000 * hour)
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * (before + hour + 7))
    assert now() == pytest.approx(before + hour, abs=1e8)


def test_a_folder_is_made_and_holds_one_file(tmp_path: Path) -> None:
    open_store(tmp_path / "a" / "b").close()
    assert os.listdir(tmp_path / "a" / "b") == ["experiments.db"]


def test_what_was_written_is_there_after_opening_again(where: str) -> None:
    store = open_store(where)
    add_audit(store, "x")
    store.close()
    again = open_store(where)
    assert count(again) == 1
    again.close()


def test_a_block_that_raises_changes_nothing(store: Store) -> None:
    def fail() -> None:
        with store.write() as connection:
            connection.execute(schema_versions.delete())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.read() as connection:
        assert migrations.read_version(connection) == len(migrations.MIGRATIONS)


def test_a_reader_sees_one_state_and_holds_up_no_writer(store: Store) -> None:
    with store.read() as connection:
        query = sa.select(sa.func.count()).select_from(audit)
        assert connection.execute(query).scalar_one() == 0
        add_audit(store, "x")
        assert connection.execute(query).scalar_one() == 0
    assert count(store) == 1


def test_both_databases_have_the_tables_and_columns_of_the_program(store: Store) -> None:
    with store.read() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            assert {c["name"] for c in inspector.get_columns(table.name)} == set(table.columns.keys())


def test_a_newer_schema_is_refused_with_what_to_do(where: str) -> None:
    store = open_store(where)
    with store.write() as connection:
        connection.execute(schema_versions.insert(), {"version": 99, "applied_at": 0})
    store.close()
    with pytest.raises(StoreError, match=r"version 99.*those up to 5.*newer adaptact; install"):
        open_store(where)


def test_a_store_without_pins_gets_them(where: str) -> None:
    store = open_store(where)
    with store.write() as connection:
        connection.execute(sa.text("ALTER TABLE phases DROP COLUMN pins"))
        connection.execute(schema_versions.delete().where(schema_versions.c.version > 1))
    store.close()
    again = open_store(where)
    with again.read() as connection:
        assert connection.execute(sa.select(phases.c.pins)).all() == []
    again.close()


def test_outcomes_without_numbers_get_them(where: str) -> None:
    store = open_store(where)
    with store.write() as connection:
        connection.execute(sa.text("DROP INDEX outcomes_by_unit"))
        connection.execute(sa.text("ALTER TABLE outcomes DROP COLUMN number"))
        connection.execute(schema_versions.delete().where(schema_versions.c.version > 3))
    store.close()
    again = open_store(where)
    with again.read() as connection:
        assert connection.execute(sa.select(outcomes.c.number)).all() == []
    again.close()


def test_a_migration_that_fails_leaves_the_old_schema(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(where)
    add_audit(store, "x")
    store.close()

    def fail(connection: sa.Connection) -> None:
        connection.execute(audit.delete())
        connection.execute(sa.schema.DropTable(audit))
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, fail))
        with pytest.raises(ZeroDivisionError):
            open_store(where)
    again = open_store(where)
    assert count(again) == 1
    again.close()


def test_tables_of_another_program_are_refused_and_stay(where: str) -> None:
    engine = sa.create_engine(sa.make_url(where).set(drivername=_driver(where)))
    with engine.begin() as connection:
        connection.execute(
            sa.schema.CreateTable(sa.Table("audit", sa.MetaData(), sa.Column("mine", sa.Text())))
        )
    with pytest.raises(StoreError, match=r"already has tables audit.*name another"):
        open_store(where)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == ["audit"]
    engine.dispose()


def _driver(where: str) -> str:
    return "sqlite" if where.startswith("sqlite") else "postgresql+psycopg"


def _open_and_add(where: str, name: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait()
    store = open_store(where)
    for turn in range(20):
        add_audit(store, f"{name}-{turn}")
    store.close()


def test_processes_that_open_and_write_at_once_lose_nothing(where: str) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_open_and_add, args=(where, str(n), barrier)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    store = open_store(where)
    assert count(store) == 80
    store.close()


def test_a_file_that_is_no_database_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"experiments.db.*no SQLite database.*name another file"):
        open_store(tmp_path)
    assert path.read_bytes() == b"no database" * 1000


def test_an_old_sqlite_is_refused_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"expected SQLite 3\.37 or newer"):
        open_store(tmp_path)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made: File exists; expected a folder"):
        open_store(tmp_path / "file")


@pytest.mark.parametrize(
    "url", ["mysql://a:secret@c/d", "sqlite://", "sqlite:///x?uri=true", "x://:::", "://"]
)
def test_urls_of_no_known_kind_are_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(StoreError, match="expected a folder, `sqlite:") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_an_unreachable_database_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store(f"postgresql://user:secret@/name?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_explained_and_survived(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def fill() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            row = {"at": 1, "by": "a", "action": "b", "experiment": "c", "detail": "d" * 1000}
            connection.execute(audit.insert(), [{**row, "id": str(n)} for n in range(2000)])

    with pytest.raises(StoreError, match=r"disk is full.*free space"):
        fill()
    store.close()
    again = open_store(tmp_path)
    add_audit(again, "x")
    assert count(again) == 1
    again.close()


def test_a_read_only_file_is_explained(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="read-only; give the server's user the right"):
        add_audit(store, "x")
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_read_only_folder_is_explained(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)

    def open_as_nobody() -> None:
        os.setuid(65534)
        try:
            open_store(tmp_path)
        except StoreError as error:
            send.send(str(error))

    process = context.Process(target=open_as_nobody)
    process.start()
    process.join()
    assert receive.poll()
    assert "folder that the server's user may write to" in receive.recv()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.errors.DiskFull("x"), "disk is full"),
        (psycopg.errors.TooManyConnections("x"), "max_connections"),
        (psycopg.errors.InsufficientPrivilege("x"), "grant"),
        (psycopg.errors.AdminShutdown("x"), "shutting down"),
        (psycopg.errors.SerializationFailure("x"), "PostgreSQL failed"),
    ],
)
def test_errors_of_the_database_say_what_to_do(error: Exception, said: str) -> None:
    with pytest.raises(StoreError, match=said), explained("here"):
        raise sa.exc.OperationalError("statement", {}, error)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_nothing_is_written_to_a_file_that_was_removed(tmp_path: Path, is_replaced: bool) -> None:
    store = open_store(tmp_path)
    add_audit(store, "x")
    file = tmp_path / "experiments.db"
    aside = file.rename(tmp_path / "aside")
    if is_replaced:
        file.write_bytes(aside.read_bytes())
    for use in (count, lambda store: add_audit(store, "y")):
        with pytest.raises(StoreError, match=r"its file is .*; expected .* restart the server"):
            use(store)
    aside.replace(file)
    add_audit(store, "z")
    assert count(store) == 2
    store.close()


def test_statistics_are_renewed_once_a_table_has_grown(store: Store) -> None:
    row = {"metric": "m", "value": 1.0, "event_at": 1, "received_at": 1}
    with store.write() as connection:
        connection.execute(outcomes.insert(), [{"key": b"%d" % n, **row} for n in range(1000)])
    store.close()  # PostgreSQL counts a session's changes at its end
    store.renew_statistics()
    if store.is_sqlite:  # which needs none
        return
    known: sa.Select[Any] = sa.select(sa.column("attname")).select_from(sa.table("pg_stats"))
    deadline = time.monotonic() + 60
    while not _exists(store, known.where(sa.column("tablename") == "outcomes")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
        store.renew_statistics()


def _exists(store: Store, query: sa.Select[Any]) -> bool:
    with store.read() as connection:
        return connection.execute(query).first() is not None


def test_a_postgresql_that_is_gone_without_a_word_is_noticed() -> None:
    given: dict[str, Any] = {}

    def connect(dialect: object, record: object, args: object, parameters: dict[str, Any]) -> None:
        given.update(parameters)
        raise ZeroDivisionError

    engine = make_engine(sa.make_url("postgresql+psycopg://anne@nowhere/store?keepalives_idle=60"))
    sa.event.listen(engine, "do_connect", connect)
    with pytest.raises(ZeroDivisionError):
        engine.connect()
    timeouts = {name: given[name] for name in given if name.startswith(("keepalives", "tcp"))}
    assert timeouts.keys() >= {f"keepalives_{name}" for name in ("idle", "interval", "count")}
    assert given["keepalives_idle"] == "60"  # the URL's
    assert "tcp_user_timeout=30000" in psycopg.conninfo.make_conninfo(**timeouts)

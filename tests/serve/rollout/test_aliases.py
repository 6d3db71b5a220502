"""Two servers of one database."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.engine.errors import AliasError
from serve.experiments.errors import StoreError
from serve.experiments.stages import Phase, Pin
from serve.experiments.store.aliases import AliasTable
from serve.experiments.store.database import Store, open_store
from serve.rollout.aliases import SharedAliases
from serve.rollout.pinning import find_change, find_lasting_change
from tests.serve.conftest import options
from tests.serve.experiments.definitions import make_experiment
from tests.serve.rollout.variants import put_variants


@dataclass(frozen=True, slots=True)
class Server:
    engine: Engine
    aliases: SharedAliases

    def set(self, alias: str, version: str) -> None:
        asyncio.run(self.aliases.set_alias("digits", alias, version))

    def remove(self, alias: str) -> None:
        asyncio.run(self.aliases.remove_alias("digits", alias))

    def read(self) -> dict[str, str]:
        return self.engine.aliases("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    put_variants(folder)
    return folder


@pytest.fixture(scope="module")
def engines(folder: Path) -> Iterator[tuple[Engine, Engine]]:
    first, second = (open_engine(options(folder), Metrics(CollectorRegistry())) for _ in range(2))
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def servers(engines: tuple[Engine, Engine], store: Store) -> Iterator[tuple[Server, Server]]:
    first, second = (Server(engine, SharedAliases(engine, AliasTable(store))) for engine in engines)
    yield first, second
    for engine in engines:
        for alias in engine.aliases("digits"):
            asyncio.run(engine.remove_alias("digits", alias))


def test_what_one_server_sets_or_removes_the_other_does_once_it_follows(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    first.set("stable", "1")
    first.set("canary", "2")
    assert first.read() == {"stable": "1", "canary": "2"}
    second.aliases.follow()
    assert second.read() == first.read()
    assert second.engine.model("digits").version == "1"
    second.remove("canary")
    second.remove("stable")
    first.aliases.follow()
    assert first.read() == {}


def test_what_an_experiment_has_decided_since_is_not_undone(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.set("stable", "1")
    second.aliases.follow()
    second.engine.point_alias("digits", "stable", "2", second.engine.alias_since("digits") + 1)
    second.aliases.follow()
    assert second.read() == {"stable": "2"}


def test_a_version_that_does_not_serve_is_refused_and_stored_nowhere(servers: tuple[Server, Server]) -> None:
    first, second = servers
    with pytest.raises(AliasError, match="does not serve"):
        first.set("stable", "9")
    with pytest.raises(AliasError, match="cannot be"):
        first.set("Stable", "1")
    second.aliases.follow()
    assert second.read() == {}


def test_an_alias_of_a_version_that_is_missing_here_waits_and_is_said_once(
    servers: tuple[Server, Server], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    first.set("canary", "2")
    served = second.engine._catalogue._served
    monkeypatch.setattr(second.engine._catalogue, "_served", {"digits": {"1": served["digits"]["1"]}})
    second.aliases.follow()
    second.aliases.follow()
    assert [record.getMessage()[:26] for record in caplog.records] == ["alias `canary` of `digits`"]
    monkeypatch.undo()
    second.aliases.follow()
    assert second.read() == {"canary": "2"}


def test_without_the_database_nothing_changes(servers: tuple[Server, Server], store: Store) -> None:
    first, _ = servers
    Path(store.where.removeprefix("sqlite:///")).unlink()
    with pytest.raises(StoreError):
        first.set("stable", "1")
    assert first.read() == {}


def test_an_experiment_is_not_paused_for_an_alias_that_this_server_does_not_follow_yet(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    first.set("stable", "1")
    phase = Phase(2, 1, "ramp", 50.0, 0, "anne", "", pins={"control": Pin("digits", "1")})

    def catch_up() -> bool:
        second.aliases.follow()
        return True

    late = second.engine, make_experiment(), phase
    assert find_change(*late) is not None
    assert find_lasting_change(second.engine, lambda: False, *late[1:]) is None
    assert find_lasting_change(second.engine, catch_up, *late[1:]) is None
    first.set("stable", "2")
    assert find_lasting_change(second.engine, catch_up, *late[1:]) is None
    catch_up()
    assert find_lasting_change(second.engine, catch_up, *late[1:]) is not None


# The last one, since the engines are shared and know the time it makes up.
def test_a_server_whose_clock_is_ahead_does_not_keep_its_wish(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    monkeypatch.setattr("serve.rollout.aliases.now", lambda: 2**60)
    first.set("stable", "1")
    monkeypatch.undo()
    second.set("stable", "2")
    first.aliases.follow()
    assert first.read() == second.read() == {"stable": "2"}

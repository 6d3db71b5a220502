"""The loop of the command, and requests to it, without a cluster: what Ray would answer is given."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from serve.cluster.desk import Desk, Request
from serve.cluster.errors import ClusterError, NoControllerError
from serve.settings import Settings
from tests.serve.cluster.stage import FakePlacer, FakeProxy

ray = pytest.importorskip("ray")

from serve.cluster import keeping  # noqa: E402
from serve.cluster.orders import make_order, write_settings  # noqa: E402


class LocalDesk:
    """A desk in this process: each method answers once `ray.get` asks it to."""

    def __init__(self) -> None:
        self.desk = Desk("a test")

    def __getattr__(self, name: str) -> SimpleNamespace:
        method = getattr(self.desk, name)
        return SimpleNamespace(remote=lambda *given: lambda: method(*given))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> LocalDesk:
    monkeypatch.setattr(ray, "get", lambda answer, timeout: answer())
    monkeypatch.setattr(keeping, "TICK_SECONDS", 0.0)
    return LocalDesk()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"models": tmp_path, "state": tmp_path / "state", "cluster": "auto"})


def make_keeper(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, desk: LocalDesk, placer: FakePlacer
) -> keeping.Keeper:
    monkeypatch.setattr(keeping, "own_address", lambda: "10.0.0.1")
    monkeypatch.setattr(keeping, "RayPlacer", lambda: placer)
    monkeypatch.setattr(keeping, "HaProxy", lambda folder, options: FakeProxy(options))
    return keeping.Keeper(settings, desk)


def run_ticks(keeper: keeping.Keeper, stopping: threading.Event, count: int) -> list[dict[str, Any]]:
    """What is announced within so many ticks."""
    told: list[dict[str, Any]] = []
    left = iter(range(count))
    tick = keeper._tick

    def step(now: float) -> None:
        tick(now)
        if next(left, None) is None:
            stopping.set()

    keeper._tick = step  # type: ignore[method-assign]
    keeper.run(stopping, told.append)
    return told


def test_stop_tells_of_the_replicas_that_were_there(desk: LocalDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.desk.exchange({"replicas": [{"name": "r1"}, {"name": "r2"}]}, {})
    read, seen = desk.desk.read, list[int]()

    def read_once(number: int) -> object:
        seen.append(number)
        if len(seen) > 1:
            _die()
        return read()

    monkeypatch.setattr(desk.desk, "read", read_once)
    assert len(keeping.hand_over(desk, "stop")["replicas"]) == 2


def test_a_command_that_ends_before_an_update_is_done_is_told(
    desk: LocalDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.desk, "read", _die)
    with pytest.raises(NoControllerError, match="has ended meanwhile"):
        keeping.hand_over(desk, "update")


def test_a_command_that_does_not_answer_is_an_error_of_the_cluster(
    desk: LocalDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(number: int) -> None:
        raise ray.exceptions.GetTimeoutError("30 s")

    monkeypatch.setattr(desk.desk, "read", wait)
    with pytest.raises(ClusterError, match="does not answer: 30 s"):
        keeping.hand_over(desk, "update")


def test_replicas_that_serve_are_announced_though_new_settings_had_to_be_given_up(
    desk: LocalDesk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    placer = FakePlacer()
    placer.start(make_order(settings.model_copy(update={"log_level": "debug"}), "10.0.0.1").spec, ())
    for _ in range(2):
        placer.look()
    keeper = make_keeper(monkeypatch, settings, desk, placer)
    placer.broken.add(make_order(settings, "10.0.0.1").spec.digest)
    [status] = run_ticks(keeper, threading.Event(), 20)
    assert status["outcome"] == "a new replica was not ready: the model is broken"
    assert [replica["serves"] for replica in status["replicas"]] == [True]


@pytest.mark.parametrize("alter", [lambda text: "{}", lambda text: text.replace('"state":', '"stat":')])
def test_settings_that_cannot_be_read_do_not_end_the_command(
    desk: LocalDesk, settings: Settings, monkeypatch: pytest.MonkeyPatch, alter: Callable[[str], str]
) -> None:
    keeper = make_keeper(monkeypatch, settings, desk, FakePlacer())
    keeper._begin(Request(1, "update", alter(write_settings(settings))))
    assert "cannot read the settings" in keeper._outcomes[1]


def _die(*_: object) -> NoReturn:
    raise ray.exceptions.ActorDiedError

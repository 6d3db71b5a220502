import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serve.engine.errors import (
    AliasError,
    ConfigError,
    EngineError,
    ModelRefusedError,
    ModelUnloadedError,
    RegionError,
    StateError,
)
from serve.shared.channel import ChannelClosedError, Json
from serve.workers.changes import ChangeBroadcaster
from serve.workers.supervised import Worker


class FakeChannel:
    """The channel of a worker that gives these answers; `asked` is what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[list[Json]] = []

    async def ask(self, verb: str, *arguments: Json) -> Json:
        self.asked.append([verb, *arguments])
        answer = self.answers.get(verb)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def give_up(self, reason: str) -> None:
        pass


def make_worker(is_in_group: bool = True, **answers: Any) -> Worker:
    process = SimpleNamespace(pid=1, end_connections=lambda: None)
    made = Worker(cast(Any, process), cast(Any, FakeChannel(answers)))
    made.is_in_group = is_in_group
    return made


def asked(worker: Worker) -> list[list[Json]]:
    return cast(FakeChannel, worker.channel).asked


def broadcast(changes: ChangeBroadcaster, verb: str, *arguments: Json) -> list[Json]:
    return asyncio.run(changes.broadcast(verb, list(arguments)))


def test_a_new_worker_repeats_the_last_change_of_each_subject() -> None:
    changes = ChangeBroadcaster([make_worker()])
    broadcast(changes, "load", "a", None)
    broadcast(changes, "set_alias", "a", "stable", "1")
    broadcast(changes, "unload", "b")
    broadcast(changes, "load", "a", {"versions": "all"})
    broadcast(changes, "log", {"log_info": False})
    broadcast(changes, "log", {"log_error": False})
    broadcast(changes, "statistics", None, None)
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [
        ["set_alias", "a", "stable", "1"],
        ["unload", "b"],
        ["load", "a", {"versions": "all"}],
        ["log", {"log_info": False, "log_error": False}],
    ]
    assert new.is_in_group


def test_a_region_that_was_unregistered_is_forgotten() -> None:
    changes = ChangeBroadcaster([make_worker()])
    broadcast(changes, "register_region", "a", "k", 0, 8)
    broadcast(changes, "register_region", "b", "k", 8, 8)
    broadcast(changes, "unregister_region", "a")
    broadcast(changes, "unregister_region", "never")
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [["register_region", "b", "k", 8, 8]]


def test_a_region_that_a_worker_refuses_is_unregistered_by_the_others() -> None:
    undo = ["unregister_region", "a"]
    workers = [make_worker(register_region=undo), make_worker(register_region=RegionError("no"))]
    changes = ChangeBroadcaster(workers)
    with pytest.raises(RegionError, match="no; a worker refused this, which is undone where it was done"):
        broadcast(changes, "register_region", "a", "k", 0, 8)
    assert all(undo in asked(worker) for worker in workers)
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == []


def test_a_change_that_all_refuse_is_not_repeated() -> None:
    workers = [make_worker(load=ConfigError("no")), make_worker(load=ConfigError("no"))]
    changes = ChangeBroadcaster(workers)
    with pytest.raises(ConfigError, match="no") as raised:
        broadcast(changes, "load", "a", {})
    assert str(raised.value) == "no"
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == []
    assert all(worker.is_in_group for worker in workers)


def test_a_refused_load_ends_an_earlier_unload() -> None:
    changes = ChangeBroadcaster([make_worker(load=ModelRefusedError("no"))])
    with pytest.raises(ModelRefusedError):
        broadcast(changes, "load", "a", None)
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [["load", "a", None]]


def test_a_change_that_one_refuses_is_undone() -> None:
    undo = ["set_alias", "a", "stable", "1"]
    able, unable = make_worker(set_alias=undo), make_worker(set_alias=StateError("full"))
    changes = ChangeBroadcaster([able, unable])
    with pytest.raises(StateError, match="full; a worker refused this, which is undone where it was done"):
        broadcast(changes, "set_alias", "a", "stable", "2")
    assert asked(able) == [["set_alias", "a", "stable", "2"], undo]
    assert able.is_in_group
    assert unable.is_in_group
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [undo]


def test_a_worker_that_cannot_undo_is_replaced() -> None:
    stuck = make_worker(load=["unload", "a"], unload=EngineError("stuck"))
    refusing = make_worker(load=ModelRefusedError("no"))
    with pytest.raises(ModelRefusedError):
        broadcast(ChangeBroadcaster([stuck, refusing]), "load", "a", None)
    assert not stuck.is_in_group
    assert refusing.is_in_group


def test_workers_that_refuse_what_cannot_be_undone_are_replaced() -> None:
    able, unable = make_worker(load=None), make_worker(load=ModelRefusedError("no"))
    changes = ChangeBroadcaster([able, unable])
    with pytest.raises(ModelRefusedError, match="done by 1 of 2 workers; new ones replace the others"):
        broadcast(changes, "load", "a", None)
    assert able.is_in_group
    assert not unable.is_in_group
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [["load", "a", None]]


def test_a_worker_that_dies_or_starts_does_not_refuse() -> None:
    dying, starting = make_worker(unload=ChannelClosedError("gone")), make_worker(is_in_group=False)
    changes = ChangeBroadcaster([dying, make_worker(unload=None), starting])
    assert broadcast(changes, "unload", "a") == [None]
    assert asked(starting) == []


def test_a_change_that_cannot_be_repeated_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = ChangeBroadcaster([make_worker()])
    broadcast(changes, "remove_alias", "a", "stable")
    broadcast(changes, "load", "b", None)
    refusals = {"load": ModelRefusedError("broken"), "remove_alias": AliasError("none")}
    asyncio.run(changes.catch_up(make_worker(is_in_group=False, **refusals)))
    assert caplog.messages == ["a new worker cannot do `load` again: broken"]


def make_report(limit: int) -> dict[str, Any]:
    return {"limit": limit, "need": [4, 3], "models": {"a": [0, 5, 1, False], "b": [0, 5, 2, True]}}


def test_all_workers_make_room_for_a_model_before_they_load_it() -> None:
    workers = [make_worker(memory=make_report(20)) for _ in range(2)]
    changes = ChangeBroadcaster(workers)
    broadcast(changes, "in room", "new", "demand")
    assert all(asked(worker) == [["memory", "new"], ["evict", "a"], ["demand", "new"]] for worker in workers)
    new = make_worker(is_in_group=False)
    asyncio.run(changes.catch_up(new))
    assert asked(new) == [["evict", "a"], ["demand", "new"]]


def test_where_room_cannot_be_made_nothing_is_changed() -> None:
    worker = make_worker(memory=make_report(11))
    with pytest.raises(ModelUnloadedError):
        broadcast(ChangeBroadcaster([worker]), "in room", "new", "load", None)
    assert asked(worker) == [["memory", "new"]]

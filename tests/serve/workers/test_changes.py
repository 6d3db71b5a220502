import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serve.engine.errors import AliasError, ConfigError, EngineError, ModelRefusedError, StateError
from serve.shared.channel import ChannelClosedError, Json
from serve.workers.changes import ChangeBroadcaster
from serve.workers.spawn import Worker


class Told:
    """A worker that notes what it is told, and answers what it is given to answer."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.heard: list[list[Json]] = []

    async def ask(self, verb: str, *arguments: Json) -> Json:
        self.heard.append([verb, *arguments])
        answer = self.answers.get(verb)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def worker(told: bool = True, **answers: Any) -> Worker:
    process = SimpleNamespace(terminate=lambda: None, kill=lambda: None)
    made = Worker(cast(Any, process), cast(Any, Told(answers)), cast(Any, None), cast(Any, None))
    made.told = told
    return made


def heard(one: Worker) -> list[list[Json]]:
    return cast(Told, one.channel).heard


def everybody(changes: ChangeBroadcaster, verb: str, *arguments: Json) -> list[Json]:
    return asyncio.run(changes.broadcast(verb, list(arguments)))


def test_a_new_worker_is_told_the_last_change_of_each_thing_in_their_order() -> None:
    changes = ChangeBroadcaster([worker()])
    everybody(changes, "load", "a", None)
    everybody(changes, "set_alias", "a", "stable", "1")
    everybody(changes, "unload", "b")
    everybody(changes, "load", "a", {"versions": "all"})
    everybody(changes, "log", {"log_info": False})
    everybody(changes, "log", {"log_error": False})
    everybody(changes, "statistics", None, None)
    new = worker(told=False)
    asyncio.run(changes.catch_up(new))
    assert heard(new) == [
        ["set_alias", "a", "stable", "1"],
        ["unload", "b"],
        ["load", "a", {"versions": "all"}],
        ["log", {"log_info": False, "log_error": False}],
    ]
    assert new.told


def test_what_all_refuse_changes_nothing_and_is_told_to_nobody_later() -> None:
    workers = [worker(load=ConfigError("no")), worker(load=ConfigError("no"))]
    changes = ChangeBroadcaster(workers)
    with pytest.raises(ConfigError, match="no") as raised:
        everybody(changes, "load", "a", {})
    assert str(raised.value) == "no"
    new = worker(told=False)
    asyncio.run(changes.catch_up(new))
    assert heard(new) == []
    assert all(each.told for each in workers)


def test_a_model_that_all_refuse_to_load_is_tried_by_a_new_worker_since_it_is_not_unloaded_any_more() -> None:
    changes = ChangeBroadcaster([worker(load=ModelRefusedError("no"))])
    with pytest.raises(ModelRefusedError):
        everybody(changes, "load", "a", None)
    new = worker(told=False)
    asyncio.run(changes.catch_up(new))
    assert heard(new) == [["load", "a", None]]


def test_what_one_refuses_is_undone_and_a_new_worker_is_told_what_was_before() -> None:
    undo = ["set_alias", "a", "stable", "1"]
    able, unable = worker(set_alias=undo), worker(set_alias=StateError("full"))
    changes = ChangeBroadcaster([able, unable])
    with pytest.raises(StateError, match="full; a worker refused this, which is undone where it was done"):
        everybody(changes, "set_alias", "a", "stable", "2")
    assert heard(able) == [["set_alias", "a", "stable", "2"], undo]
    assert able.told
    assert unable.told
    new = worker(told=False)
    asyncio.run(changes.catch_up(new))
    assert heard(new) == [undo]


def test_a_worker_that_cannot_undo_what_it_did_is_replaced() -> None:
    stuck = worker(load=["unload", "a"], unload=EngineError("stuck"))
    refusing = worker(load=ModelRefusedError("no"))
    with pytest.raises(ModelRefusedError):
        everybody(ChangeBroadcaster([stuck, refusing]), "load", "a", None)
    assert not stuck.told
    assert refusing.told


def test_where_nothing_undoes_it_those_that_refused_are_replaced_and_it_is_told_later() -> None:
    able, unable = worker(load=None), worker(load=ModelRefusedError("no"))
    changes = ChangeBroadcaster([able, unable])
    with pytest.raises(ModelRefusedError, match="done by 1 of 2 workers; new ones replace the others"):
        everybody(changes, "load", "a", None)
    assert able.told
    assert not unable.told
    new = worker(told=False)
    asyncio.run(changes.catch_up(new))
    assert heard(new) == [["load", "a", None]]


def test_a_worker_that_dies_or_is_not_ready_is_no_refusal() -> None:
    dying, starting = worker(unload=ChannelClosedError("gone")), worker(told=False)
    changes = ChangeBroadcaster([dying, worker(unload=None), starting])
    assert everybody(changes, "unload", "a") == [None]
    assert heard(starting) == []


def test_what_a_new_worker_cannot_do_is_in_the_log_but_not_that_it_had_no_alias_to_forget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = ChangeBroadcaster([worker()])
    everybody(changes, "remove_alias", "a", "stable")
    everybody(changes, "load", "b", None)
    refusals = {"load": ModelRefusedError("broken"), "remove_alias": AliasError("none")}
    asyncio.run(changes.catch_up(worker(told=False, **refusals)))
    assert caplog.messages == ["a new worker cannot do `load` again: broken"]

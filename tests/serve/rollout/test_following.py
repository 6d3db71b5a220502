from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from serve.experiments import stages
from serve.experiments.errors import StoreError
from serve.experiments.stages import Change
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.registry import Registered, Registry
from serve.experiments.store.tables import experiments
from serve.rollout.following import Follower
from tests.serve.experiments.definitions import make_experiment
from tests.waiting import until

ANNE = Change(1, "anne")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


class Told:
    """Keeps the stages that were told."""

    def __init__(self) -> None:
        self.stages: list[list[str]] = []

    def __call__(self, registered: Sequence[Registered]) -> None:
        self.stages.append([known.phase.stage for known in registered])


def start(registry: Registry) -> None:
    registry.act("exp", "start", ANNE, partial(stages.start, change=ANNE))


def test_what_is_registered_is_told_at_once(store: Store) -> None:
    registry, told = Registry(store), Told()
    registry.define(make_experiment(), ANNE)
    follower = Follower(registry, told, seconds=60)
    assert told.stages == [["draft"]]
    follower.close()


def test_changes_of_others_are_told_and_nothing_else(store: Store) -> None:
    registry, told = Registry(store), Told()
    registry.define(make_experiment(), ANNE)
    follower = Follower(registry, told, seconds=0.01)
    start(Registry(store))
    until(lambda: len(told.stages) > 1)
    follower.close()
    assert told.stages == [["draft"], ["shadow"]]


def test_a_change_of_this_process_is_told_without_waiting(store: Store) -> None:
    registry, told = Registry(store), Told()
    registry.define(make_experiment(), ANNE)
    follower = Follower(registry, told, seconds=600)
    start(registry)
    follower.hurry()
    until(lambda: told.stages[-1] == ["shadow"])
    follower.close()


class FailingRegistry(Registry):
    """A registry whose store fails for a while."""

    failures = 0

    def read_revisions(self) -> dict[str, int]:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        return super().read_revisions()


def test_while_the_store_fails_what_was_told_stays(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    registry, told = FailingRegistry(store), Told()
    registry.define(make_experiment(), ANNE)
    follower = Follower(registry, told, seconds=0.01)
    registry.failures = 3
    until(lambda: registry.failures == 0)
    start(registry)
    until(lambda: told.stages[-1] == ["shadow"])
    follower.close()
    assert told.stages == [["draft"], ["shadow"]]
    assert caplog.text.count("the disk is full") == 1


def test_a_store_that_fails_at_the_start_is_an_error(store: Store) -> None:
    registry = FailingRegistry(store)
    registry.failures = 1
    with pytest.raises(StoreError):
        Follower(registry, Told())


def test_what_fails_while_it_is_told_is_told_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    registry, told, failures = Registry(store), Told(), [ZeroDivisionError(), ZeroDivisionError()]
    registry.define(make_experiment(), ANNE)

    def tell(registered: Sequence[Registered]) -> None:
        if registered[0].phase.stage == "shadow" and failures:
            raise failures.pop()
        told(registered)

    follower = Follower(registry, tell, seconds=0.01)
    start(registry)
    until(lambda: told.stages[-1] == ["shadow"])
    assert follower.catch_up(60)
    follower.close()
    assert told.stages == [["draft"], ["shadow"]]
    assert caplog.text.count("changes of experiments are not followed") == 2


def test_what_cannot_be_read_is_not_told_again_and_again(store: Store) -> None:
    registry, told = Registry(store), Told()
    registry.define(make_experiment(), ANNE)
    with store.write() as connection:
        connection.execute(sa.update(experiments).values(definition="{}"))
    follower = Follower(registry, told, seconds=600)
    assert follower.catch_up(60)
    follower.close()
    assert told.stages == [[]]

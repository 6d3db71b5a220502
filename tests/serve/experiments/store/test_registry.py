import threading
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import sqlalchemy as sa

from serve.experiments import stages
from serve.experiments.errors import StageError, StoreError, UnknownExperimentError
from serve.experiments.findings import Memory
from serve.experiments.stages import Change
from serve.experiments.store.database import Store
from serve.experiments.store.registry import Registry
from serve.experiments.store.tables import experiments
from tests.serve.experiments.definitions import make_experiment

ANNE = Change(1_000_000, "anne", "to see")
EXPERIMENT = make_experiment(
    allow_list={"tester": "candidate"}, exclusion={"group": "g", "from_percent": 0, "to_percent": 60}
)


def start(registry: Registry, change: Change = ANNE) -> None:
    registry.act("exp", "start", change, partial(stages.start, change=change))


def test_a_new_experiment_is_a_draft_and_is_read_back(store: Store) -> None:
    registry = Registry(store)
    defined = registry.define(EXPERIMENT, ANNE)
    assert (defined.phase.stage, defined.revision) == ("draft", 1)
    assert registry.read("exp") == defined
    assert registry.read_all() == (defined,)
    assert registry.read_revisions() == {"exp": 1}


def test_an_equal_definition_changes_nothing(store: Store) -> None:
    registry = Registry(store)
    defined = registry.define(EXPERIMENT, ANNE)
    assert registry.define(EXPERIMENT, replace_at(2_000_000)) == defined
    assert len(registry.read_audit("exp")) == 1


def replace_at(at: int) -> Change:
    return ANNE._replace(at=at)


def test_acts_and_amendments_are_phases_and_audited(store: Store) -> None:
    registry = Registry(store)
    registry.define(EXPERIMENT, ANNE)
    start(registry)
    amended = registry.define(EXPERIMENT.model_copy(update={"auto_promote": True}), replace_at(3_000_000))
    assert (amended.phase.number, amended.phase.stage, amended.revision) == (3, "shadow", 3)
    assert [phase.stage for phase in registry.read_phases("exp")] == ["draft", "shadow", "shadow"]
    assert [entry.action for entry in registry.read_audit("exp")] == ["amend", "start", "define"]
    assert registry.read_audit("exp")[1].by == "anne"
    assert registry.read_audit("exp")[1].detail == "phase 2, shadow: to see"
    assert registry.read_audit("exp", most=1)[0].action == "amend"


def test_an_act_that_is_not_possible_leaves_no_trace(store: Store) -> None:
    registry = Registry(store)
    registry.define(EXPERIMENT, ANNE)
    with pytest.raises(StageError, match="possible now: `start`"):
        registry.act("exp", "resume", ANNE, partial(stages.resume, change=ANNE))
    assert registry.read("exp").revision == 1
    assert len(registry.read_audit()) == 1


def test_an_unknown_experiment_is_named_with_the_known_ones(store: Store) -> None:
    registry = Registry(store)
    registry.define(EXPERIMENT, ANNE)
    for read in (registry.read, registry.read_phases):
        with pytest.raises(UnknownExperimentError, match="no experiment `other`; known: `exp`"):
            read("other")
    with pytest.raises(UnknownExperimentError):
        registry.act("other", "start", ANNE, partial(stages.start, change=ANNE))


def test_of_changes_at_once_each_sees_the_one_before(store: Store) -> None:
    registry = Registry(store)
    registry.define(EXPERIMENT, ANNE)
    start(registry)
    failed = []

    def change(number: int) -> None:
        name, act = ("pause", stages.pause) if number % 2 else ("resume", stages.resume)
        try:
            registry.act("exp", name, ANNE, partial(act, change=ANNE))
        except StageError:
            failed.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    phases = registry.read_phases("exp")
    assert [phase.number for phase in phases] == list(range(1, 1 + len(phases)))
    assert len(phases) == 2 + 8 - len(failed)
    assert all(before.stage != after.stage for before, after in pairwise(phases))


def test_of_equal_definitions_at_once_one_is_the_first(store: Store) -> None:
    registry = Registry(store)
    threads = [threading.Thread(target=registry.define, args=(EXPERIMENT, ANNE)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.read_revisions() == {"exp": 1}
    assert [entry.action for entry in registry.read_audit()] == ["define"]


def test_looks_are_kept_by_comparison(store: Store) -> None:
    registry = Registry(store)
    assert registry.read_memory("exp", 1) == Memory()
    memory = replace(Memory(), sample_ratio=1.5)
    for at in (1, 2):
        registry.keep_look("exp", 1, at, {"memory": memory.as_json(), "at": at})
    assert [look["at"] for _, look in registry.read_looks("exp", 1)] == [1, 2]
    assert [at for at, _ in registry.read_looks("exp", 1, most=1)] == [2]
    assert registry.read_memory("exp", 1) == memory
    assert registry.read_looks("exp", 2) == []
    assert [at for at, _ in registry.read_looks_over_time("exp", 1, most=10)] == [1, 2]
    assert [at for at, _ in registry.read_looks_over_time("exp", 1, most=1)] == [2]
    assert registry.read_looks_over_time("exp", 2, most=10) == []


def test_the_newest_look_is_the_last_though_a_clock_was_set_back(store: Store) -> None:
    registry = Registry(store)
    for at, sample_ratio in ((100, 1.0), (5, 2.0), (5, 3.0)):
        memory = replace(Memory(), sample_ratio=sample_ratio)
        registry.keep_look("exp", 1, at, {"memory": memory.as_json()})
        assert registry.read_memory("exp", 1) == memory


def test_a_definition_of_another_version_holds_up_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(store)
    for name in ("exp", "other"):
        registry.define(make_experiment(name=name, model=name), ANNE)
    with store.write() as connection:
        of_exp = sa.update(experiments).where(experiments.c.name == "exp")
        connection.execute(of_exp.values(definition='{"name": "exp", "later": 1}'))
    with pytest.raises(StoreError, match="`exp` does not run here, since another version of adaptact"):
        registry.read("exp")
    assert [known.experiment.name for known in registry.read_all()] == ["other"]
    assert "`exp` does not run here" in caplog.text
    started = registry.act("other", "start", ANNE, partial(stages.start, change=ANNE))
    assert started.phase.stage == "shadow"

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from serve.engine import Engine
from serve.engine.errors import UnknownModelError
from serve.experiments.errors import (
    DefinitionError,
    IncompatibleVariantsError,
    StageError,
    UnknownExperimentError,
)
from serve.experiments.stages import Act
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.registry import Registry
from serve.experiments.store.summaries import Summaries
from serve.rollout.administration import Administration
from tests.serve.experiments.definitions import make_document
from tests.serve.experiments.store.rows import put_exposure, unit

VARIANTS = {"control": {"name": "control", "version": "1"}, "stages": {"shadow_share": 0}}
EXCLUSION = {"group": "g", "from_percent": 0, "to_percent": 50}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


class Administered:
    """An administration, and how often it told of a change."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self.changes = 0
        self.of = Administration(engine, Registry(store), Summaries(store), self._on_change)

    def define(self, **fields: Any) -> Any:
        document = make_document(**{**VARIANTS, **fields})
        return self.of.define(document["name"], document, "anne", "to see")

    def act(self, *acts: Act, name: str = "exp") -> str:
        """The stage after these acts."""
        for act in acts:
            self.of.act(name, act, "anne")
        return self.of.read(name).phase.stage

    def _on_change(self) -> None:
        self.changes += 1


@pytest.fixture
def administered(engine: Engine, store: Store) -> Administered:
    return Administered(engine, store)


def test_an_experiment_is_defined_started_and_stopped(administered: Administered) -> None:
    assert administered.define().phase.stage == "draft"
    assert administered.act("start", "advance", "pause", "resume", "stop") == "stopped"
    assert administered.changes == 6
    audit = administered.of.read_audit("exp")
    assert [entry.action for entry in audit] == ["stop", "resume", "pause", "advance", "start", "define"]
    assert {entry.by for entry in audit} == {"anne"}
    assert [phase.number for phase in administered.of.read_phases("exp")] == [1, 2, 3, 4, 5, 6]
    assert [known.experiment.name for known in administered.of.read_all()] == ["exp"]


def test_the_name_in_the_path_is_that_of_the_document(administered: Administered) -> None:
    with pytest.raises(DefinitionError, match="expected `other`, the name in the path, got `exp`"):
        administered.of.define("other", make_document(**VARIANTS), "anne")


@pytest.mark.parametrize("document", [None, [], {"name": "exp"}, {**make_document(), "colour": "red"}])
def test_a_document_that_is_none_is_refused(administered: Administered, document: Any) -> None:
    with pytest.raises(DefinitionError):
        administered.of.define("exp", document, "anne")
    assert administered.of.read_all() == ()


def test_a_model_that_is_not_there_is_refused(administered: Administered) -> None:
    with pytest.raises(UnknownModelError, match="`17`"):
        administered.define(candidates=[{"name": "candidate", "version": "17"}])
    with pytest.raises(UnknownModelError, match="`nothing`"):
        administered.define(candidates=[{"name": "candidate", "model": "nothing"}])


def test_a_candidate_that_cannot_stand_in_is_refused(administered: Administered) -> None:
    with pytest.raises(IncompatibleVariantsError, match="input `x`"):
        administered.define(candidates=[{"name": "candidate", "model": "other"}])


def test_two_experiments_on_one_model_need_separate_ranges(administered: Administered) -> None:
    administered.define()
    administered.define(name="second")
    assert administered.act("start") == "ramp"
    with pytest.raises(DefinitionError, match="another range of one group"):
        administered.act("start", name="second")
    administered.act("pause")
    assert administered.act("start", name="second") == "ramp"
    with pytest.raises(DefinitionError, match="another range of one group"):
        administered.act("resume")


def test_experiments_with_separate_ranges_run_together(administered: Administered) -> None:
    administered.define(exclusion=EXCLUSION)
    administered.define(name="second", exclusion={**EXCLUSION, "from_percent": 50, "to_percent": 100})
    assert administered.act("start") == "ramp"
    assert administered.act("start", name="second") == "ramp"


def test_an_amended_experiment_that_runs_stays_apart_from_others(administered: Administered) -> None:
    administered.define(exclusion=EXCLUSION)
    second = {**EXCLUSION, "from_percent": 50, "to_percent": 100}
    administered.define(name="second", exclusion=second)
    administered.act("start")
    administered.act("start", name="second")
    with pytest.raises(DefinitionError, match="expected a range outside 0 to 50 %"):
        administered.define(name="second", exclusion={**second, "from_percent": 40})
    administered.act("pause")
    administered.define(name="second", exclusion={**second, "from_percent": 40})


def test_the_one_look_of_a_fixed_horizon_is_kept_by_whoever_reads_it_first(
    administered: Administered, store: Store
) -> None:
    metrics = [{"name": "accepted", "kind": "binary", "is_primary": True}]
    administered.define(fixed_horizon=True, planned_units=200, metrics=metrics)
    administered.act("start", "pause")
    for number in range(400):
        put_exposure(store, number, 1, experiment="exp", variant=("control", "candidate")[number % 2])
    report_accepted(store, range(200), lambda number: number % 4 < 2)
    first = administered.of.read_results("exp")["metrics"][0]
    assert (first["finding"], first["low"] is None) == ("undecided", False)
    report_accepted(store, range(200, 400), lambda number: number % 2 == 1)
    assert administered.of.read_results("exp")["metrics"][0] == {**first, "variants": ANY}


def report_accepted(store: Store, units: range, has_accepted: Callable[[int], bool]) -> None:
    outcomes = [Feedback("accepted", float(has_accepted(number)), unit=unit(number)) for number in units]
    assert accept(store, outcomes).new == len(units)


def test_the_only_candidate_is_promoted_without_naming_it(administered: Administered) -> None:
    administered.define()
    assert administered.act("start", "promote") == "promoted"
    assert administered.of.read("exp").phase.promoted == "candidate"


def test_another_model_cannot_be_promoted(administered: Administered) -> None:
    administered.define(candidates=[{"name": "candidate", "model": "twin"}])
    with pytest.raises(IncompatibleVariantsError, match="put its file there as a new version"):
        administered.act("start", "promote")
    assert administered.of.read("exp").phase.stage == "ramp"


def test_what_the_stage_does_not_allow_is_refused_with_what_it_does(administered: Administered) -> None:
    administered.define()
    with pytest.raises(StageError, match="possible now: `start`, `stop`, `amend`"):
        administered.act("advance")
    with pytest.raises(UnknownExperimentError):
        administered.act("start", name="other")


def test_results_are_read_in_every_stage(administered: Administered, store: Store) -> None:
    administered.define()
    assert administered.of.read_results("exp")["verdict"] == "undecided"
    administered.act("start")
    for number in range(3):
        put_exposure(store, number, 1, experiment="exp", variant="candidate")
    results = administered.of.read_results("exp", "ja")
    assert results["exposures"] == {"control": 0, "candidate": 3}
    assert (results["phase"], administered.of.read_looks("exp")) == (2, [])
    assert results["sentence"] != administered.of.read_results("exp")["sentence"]

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.experiments.errors import DefinitionError
from serve.experiments.reasons import FILE
from serve.experiments.stages import Change
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.registry import Registry
from serve.rollout.defining import define_from_file
from tests.serve.experiments.definitions import make_experiment

TEXT = """experiments:
  - {name: exp, model: digits, control: {name: control}, candidates: [{name: candidate, version: 2}]}
"""
CHANGED = TEXT.replace("version: 2", "version: 3")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


class Defining:
    def __init__(self, store: Store, folder: Path) -> None:
        self.registry = Registry(store)
        self._path = folder / "experiments.yaml"
        self._now = 1_000_000

    def read(self, text: str) -> str | None:
        """The candidate's version, once the file with this text has been read."""
        self._path.write_text(text)
        self._now += 1
        define_from_file(self.registry, self._path, lambda: self._now)
        return self.version

    def amend(self, version: str) -> None:
        self._now += 1
        candidates = [{"name": "candidate", "version": version}]
        self.registry.define(make_experiment(candidates=candidates), Change(self._now, "anne"))

    @property
    def version(self) -> str | None:
        return self.registry.read("exp").experiment.candidates[0].version


@pytest.fixture
def defining(store: Store, tmp_path: Path) -> Defining:
    return Defining(store, tmp_path)


def test_a_new_file_defines_and_a_changed_one_amends(defining: Defining) -> None:
    assert defining.read(TEXT) == "2"
    assert defining.read(CHANGED) == "3"
    assert defining.read(TEXT) == "2"
    assert [entry.action for entry in defining.registry.read_audit()] == ["amend", "amend", "define"]
    assert {entry.by for entry in defining.registry.read_audit()} == {FILE}


def test_what_was_amended_since_stays_until_the_file_changes(defining: Defining) -> None:
    defining.read(TEXT)
    defining.amend("7")
    assert defining.read(TEXT) == "7"
    assert defining.read(CHANGED) == "3"


def test_an_experiment_that_was_defined_elsewhere_is_amended_by_the_file(defining: Defining) -> None:
    defining.amend("7")
    assert defining.read(TEXT) == "2"


def test_a_wrong_file_defines_nothing(defining: Defining) -> None:
    with pytest.raises(DefinitionError):
        defining.read(TEXT + "  - {name: second}\n")
    assert defining.registry.read_revisions() == {}


def test_what_was_defined_as_in_the_file_may_be_amended_too(defining: Defining) -> None:
    defining.amend("2")
    for _ in range(2):
        assert defining.read(TEXT) == "2"
    assert [entry.by for entry in defining.registry.read_audit()] == [FILE, "anne"]
    defining.amend("7")
    assert defining.read(TEXT) == "7"
    assert defining.read(CHANGED) == "3"

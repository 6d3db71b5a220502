import json
import threading
from dataclasses import asdict, replace
from pathlib import Path

from adaptact.providers.machine import describe_processor, list_versions
from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.choosing.chooser import ProviderChooser, read_recorded
from serve.engine.choosing.task import ChoiceTask
from serve.engine.manifest import Json
from tests.serve.engine.choosing.test_cache import CHOICE
from tests.waiting import SECONDS

TASK = ChoiceTask("m", "1", "/m.onnx", True, "digest", 2**20, 2, 8, 1.0)
HERE = replace(CHOICE, processor=describe_processor(), versions=list_versions())


def as_json(choice: ProviderChoiceRecord) -> Json:
    recorded: Json = json.loads(json.dumps(asdict(choice)))
    return recorded


class Trials:
    """Trials that end when they may, with this choice."""

    def __init__(self, choice: ProviderChoiceRecord | None = CHOICE) -> None:
        self.choice = choice
        self.tasks: list[ChoiceTask] = []
        self.may_end = threading.Event()

    def measure(self, task: ChoiceTask) -> ProviderChoiceRecord | None:
        self.tasks.append(task)
        assert self.may_end.wait(SECONDS)
        return self.choice


def ask(
    chooser: ProviderChooser, task: ChoiceTask = TASK
) -> tuple[threading.Event, list[ProviderChoiceRecord]]:
    done, choices = threading.Event(), list[ProviderChoiceRecord]()

    def take(choice: ProviderChoiceRecord) -> None:
        choices.append(choice)
        done.set()

    chooser.request(task, None, take)
    return done, choices


def test_one_worker_measures_and_all_take_it(tmp_path: Path) -> None:
    trials = Trials()
    workers = [ProviderChooser(tmp_path, trials.measure) for _ in range(3)]
    asked = [ask(worker) for worker in workers]
    assert workers[0].find(TASK) is None
    trials.may_end.set()
    assert all(done.wait(SECONDS) for done, _ in asked)
    assert [choices for _, choices in asked] == [[CHOICE]] * 3
    assert trials.tasks == [TASK]
    for worker in workers:
        worker.close()


def test_a_choice_outlives_the_process_and_holds_for_its_file_only(tmp_path: Path) -> None:
    trials = Trials()
    trials.may_end.set()
    chooser = ProviderChooser(tmp_path, trials.measure)
    assert ask(chooser)[0].wait(SECONDS)
    chooser.close()
    again = ProviderChooser(tmp_path)
    assert again.find(TASK) == CHOICE
    for other in ({"digest": "x"}, {"threads": 1}, {"rows": 4}, {"seconds": 2.0}, {"usual_rows": 8}):
        assert again.find(replace(TASK, **other)) is None
    assert again.find(replace(TASK, name="n", path="/elsewhere.onnx")) == CHOICE


def test_a_trial_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    def measure(task: ChoiceTask) -> ProviderChoiceRecord | None:
        if task.digest == "bad":
            raise ZeroDivisionError
        return CHOICE

    chooser = ProviderChooser(tmp_path, measure)
    failed, _ = ask(chooser, replace(TASK, digest="bad"))
    assert ask(chooser)[0].wait(SECONDS)
    assert not failed.is_set()
    chooser.close()


def test_the_manifests_choice_needs_no_trial(tmp_path: Path) -> None:
    trials = Trials()
    chooser, done = ProviderChooser(tmp_path, trials.measure), threading.Event()
    chooser.request(TASK, {"choice": as_json(HERE)}, lambda choice: done.set())
    assert done.wait(SECONDS)
    assert trials.tasks == []
    chooser.close()


def test_a_choice_of_another_machine_is_measured_again() -> None:
    def read(choice: Json) -> ProviderChoiceRecord | None:
        return read_recorded({"choice": choice}, TASK)

    assert read(as_json(HERE)) == HERE
    assert read(as_json(replace(HERE, processor="another"))) is None
    assert read(as_json(replace(HERE, versions={}))) is None
    assert read(as_json(replace(HERE, threads=4))) is None
    assert read({"provider": 3}) is None
    assert read(as_json(replace(HERE, provider="cuda"))) is None
    assert read(as_json(replace(HERE, threads=0))) is None
    assert read(as_json(replace(HERE, candidates=HERE.candidates * 100))) is None
    assert read_recorded(None, TASK) is None


def test_a_choice_for_other_rows_than_those_of_a_usual_run_is_measured_again() -> None:
    task = replace(TASK, usual_rows=8)
    assert read_recorded({"choice": as_json(HERE)}, task) is None
    choice = replace(HERE, batches=(8,))
    assert read_recorded({"choice": as_json(choice)}, task) == choice


def test_nothing_is_measured_for_a_server_that_ends(tmp_path: Path) -> None:
    trials = Trials()
    trials.may_end.set()
    chooser = ProviderChooser(tmp_path, trials.measure)
    chooser.close()
    done, _ = ask(chooser)
    assert not done.wait(0.1)
    assert trials.tasks == []

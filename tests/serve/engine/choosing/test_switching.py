import asyncio
import gc
import threading
from dataclasses import replace
from pathlib import Path
from weakref import ref

import numpy as np
import onnxruntime as ort
import pytest
from prometheus_client import generate_latest

from adaptact.providers.catalogue import find_provider
from convert.manifest.providers import ProviderChoiceRecord
from serve.engine import Engine
from serve.engine.choosing.chooser import ProviderChooser
from serve.engine.choosing.task import ChoiceTask
from serve.engine.config import CONFIG_FILE
from serve.engine.errors import HungLoadError, InvalidInputError, ModelRefusedError
from serve.engine.providers import CudaOptions
from serve.engine.session import Session, SessionOptions
from tests.played_gpu import play_gpus
from tests.serve import models
from tests.serve.engine.choosing.test_cache import CHOICE
from tests.serve.engine.conftest import Opened
from tests.serve.engine.repositories import ROW, load, put_scaling_model, read_factor
from tests.waiting import SECONDS, until


class Trial:
    """Chooses OpenVINO once it may; sessions on it are the CPU provider's, or fail."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.tasks: list[ChoiceTask] = []
        self.choice: ProviderChoiceRecord = CHOICE
        self.is_broken = False
        self.opened: list[SessionOptions] = []

    def measure(self, task: ChoiceTask) -> ProviderChoiceRecord:
        self.tasks.append(task)
        assert self.may_end.wait(SECONDS)
        return self.choice

    @property
    def count(self) -> int:
        return len(self.tasks)

    def open(self, path: str, native: ort.SessionOptions, options: SessionOptions) -> ort.InferenceSession:
        self.opened.append(options)
        if self.is_broken and options.provider == "openvino":
            raise ModelRefusedError("the plug-in does not load it")
        session: ort.InferenceSession = find_provider("cpu").open(path, native)
        return session


@pytest.fixture
def trial(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Trial:
    trial = Trial()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(ProviderChooser, "_measure_apart", lambda chooser, task: trial.measure(task))
    monkeypatch.setattr("serve.engine.opening._open", trial.open)
    monkeypatch.setattr("serve.engine.opening._is_in_bfloat16", lambda session, options: False)
    return trial


def runs_on(engine: Engine) -> str:
    return engine.model("m").provider


def test_requests_run_on_the_cpu_provider_until_the_other_is_loaded(
    tmp_path: Path, opened: Opened, trial: Trial
) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(provider="auto")
    before = engine.model("m")
    assert (before.provider, before.choice, read_factor(engine)) == ("cpu", None, 2)
    trial.may_end.set()
    until(lambda: runs_on(engine) == "openvino")
    assert read_factor(engine) == 2
    # Who looked the model up before it was replaced is still answered.
    assert asyncio.run(engine.run(before, {"x": ROW}))["y"][0, 0] == 2
    assert engine.model("m").choice == CHOICE
    text = generate_latest(engine.metrics.registry).decode()
    assert 'adaptact_model_provider{model="m",provider="openvino",threads="1",version="1"} 1.0' in text
    assert 'adaptact_provider_run_seconds{model="m",provider="cpu",rows="8",threads="1"' in text


def test_a_chosen_gpu_is_used_as_the_operator_says(
    tmp_path: Path, opened: Opened, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_gpus(monkeypatch)
    put_scaling_model(tmp_path, 2)
    trial.choice = replace(CHOICE, provider="cuda")
    trial.may_end.set()
    engine = opened(provider="auto", cuda=CudaOptions(device=1))
    until(lambda: runs_on(engine) == "cuda")
    assert (trial.opened[-1].provider, trial.opened[-1].cuda.device) == ("cuda", 1)
    assert read_factor(engine) == 2


def test_what_was_chosen_before_is_loaded_at_once(tmp_path: Path, opened: Opened, trial: Trial) -> None:
    put_scaling_model(tmp_path, 2)
    trial.may_end.set()
    first = opened(provider="auto")
    until(lambda: runs_on(first) == "openvino")
    assert runs_on(opened(provider="auto")) == "openvino"
    assert trial.count == 1


def test_a_model_that_takes_few_rows_is_switched_too(tmp_path: Path, opened: Opened, trial: Trial) -> None:
    few = {"sizes": [{"name": "N", "low": 1, "high": 4}]}
    models.put(tmp_path, "m", models.with_manifest(models.model(models.DOUBLE), few))
    trial.may_end.set()
    engine = opened(provider="auto")
    assert engine.model("m").config.batch_rows == 4
    until(lambda: runs_on(engine) == "openvino")


def test_the_configuration_says_the_rows_of_a_usual_run(tmp_path: Path, opened: Opened, trial: Trial) -> None:
    path = put_scaling_model(tmp_path, 2)
    (path.parents[1] / CONFIG_FILE).write_text("provider_rows = 8")
    trial.may_end.set()
    engine = opened(provider="auto")
    until(lambda: runs_on(engine) == "openvino")
    assert [task.usual_rows for task in trial.tasks] == [8]


def test_another_file_is_chosen_for_anew(tmp_path: Path, opened: Opened, trial: Trial) -> None:
    put_scaling_model(tmp_path, 2)
    trial.may_end.set()
    engine = opened(provider="auto")
    until(lambda: runs_on(engine) == "openvino")
    trial.choice = replace(CHOICE, provider="cpu")
    put_scaling_model(tmp_path, 3)
    load(engine)
    assert runs_on(engine) == "cpu"
    until(lambda: engine.model("m").choice == trial.choice)
    assert (trial.count, read_factor(engine)) == (2, 3)


def test_a_model_that_was_unloaded_meanwhile_stays_so(tmp_path: Path, opened: Opened, trial: Trial) -> None:
    put_scaling_model(tmp_path, 2)
    put_scaling_model(tmp_path, 2, name="other")
    engine = opened(provider="auto")
    asyncio.run(engine.unload("m"))
    trial.may_end.set()
    until(lambda: engine.model("other").provider == "openvino")
    assert engine.names() == ["other"]


def test_a_model_that_waits_for_its_choice_is_freed_once_it_is_unloaded(
    tmp_path: Path, opened: Opened, trial: Trial
) -> None:
    for name in ("m", "other"):
        put_scaling_model(tmp_path, 2, name=name)
    engine = opened(provider="auto")
    served = [ref(engine.model(name)) for name in engine.names()]
    for name in engine.names():
        asyncio.run(engine.unload(name))
    gc.collect()
    assert [model() for model in served] == [None, None]
    trial.may_end.set()


def test_a_chosen_provider_that_fails_leaves_the_cpu_provider(
    tmp_path: Path, opened: Opened, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    put_scaling_model(tmp_path, 2)
    trial.is_broken = True
    trial.may_end.set()
    engine = opened(provider="auto")
    until(
        lambda: "and failed: the plug-in" in (choice.verdict if (choice := engine.model("m").choice) else "")
    )
    assert (runs_on(engine), read_factor(engine)) == ("cpu", 2)
    assert "the plug-in does not load it" in caplog.text


def test_a_server_starts_where_a_chosen_provider_fails_by_now(
    tmp_path: Path, opened: Opened, trial: Trial
) -> None:
    put_scaling_model(tmp_path, 2)
    trial.may_end.set()
    first = opened(provider="auto")
    until(lambda: runs_on(first) == "openvino")
    trial.is_broken = True
    again = opened(provider="auto")
    assert (runs_on(again), read_factor(again), trial.count) == ("cpu", 2, 1)


@pytest.mark.parametrize("refused", [ModelRefusedError, HungLoadError])
def test_a_version_that_is_refused_on_the_chosen_provider_is_loaded_on_the_cpu(
    tmp_path: Path,
    opened: Opened,
    trial: Trial,
    monkeypatch: pytest.MonkeyPatch,
    refused: type[ModelRefusedError],
) -> None:
    put_scaling_model(tmp_path, 2)
    trial.may_end.set()
    first = opened(provider="auto")
    until(lambda: runs_on(first) == "openvino")
    tried = []

    def refuse(_: object, session: Session, *others: object) -> None:
        tried.append(session.provider)
        if session.provider == "openvino":
            raise refused("it takes too long")

    monkeypatch.setattr("serve.engine.model_loader.require_known_tokens", refuse)
    for _ in range(2):
        again = opened(provider="auto")
        assert (runs_on(again), read_factor(again)) == ("cpu", 2)
    # One that hangs would have the process replaced again and again.
    is_tried_again = refused is not HungLoadError
    assert tried == ["openvino", "cpu", *(["openvino"] if is_tried_again else []), "cpu"]


def test_a_version_that_is_refused_on_any_provider_keeps_its_choice(
    tmp_path: Path, opened: Opened, trial: Trial
) -> None:
    config = put_scaling_model(tmp_path, 2).parents[1] / CONFIG_FILE
    trial.may_end.set()
    engine = opened(provider="auto")
    until(lambda: runs_on(engine) == "openvino")
    config.write_text('preprocessing = "none such"')
    with pytest.raises(ModelRefusedError, match="none such"):
        load(engine)
    config.unlink()
    put_scaling_model(tmp_path, 2)
    load(engine)
    assert (runs_on(engine), trial.count) == ("openvino", 1)


def test_another_provider_refuses_numbers_as_the_cpu_provider_does(
    tmp_path: Path, opened: Opened, trial: Trial
) -> None:
    made = models.model(models.LOOKUP)
    models.put(tmp_path, "m", models.with_manifest(made, {"inputs": [{"name": "index", "below": 3}]}))
    trial.may_end.set()
    engine = opened(provider="auto")
    until(lambda: runs_on(engine) == "openvino")
    for number in (3, -4, 2**40):
        with pytest.raises(InvalidInputError, match="expected whole numbers from `-3` to `2`"):
            asyncio.run(engine.run(engine.model("m"), {"index": np.array([0, number])}))
    answer = asyncio.run(engine.run(engine.model("m"), {"index": np.array([2, -3])}))
    assert list(answer["y"]) == [3.0, 1.0]

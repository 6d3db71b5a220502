"""Which requests may wait, by the predicted time of what waits before them."""

from pathlib import Path

import pytest

from serve.engine.admission import MIN_WAITING, Admission
from serve.engine.config import ModelConfig
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from tests.serve import models
from tests.serve.engine.loading import load_model

THREADS = 2
RUN_SECONDS = 0.0026


class Waiting:
    """Requests of one model that wait."""

    def __init__(self, model: ServedModel, run_seconds: float = RUN_SECONDS) -> None:
        self.count = 0
        self._expected: list[float] = []
        self._model = model
        self._run_seconds = run_seconds
        self._admission = Admission(THREADS)

    def refusal(self, timeout: float | None = None) -> str:
        error = self._admission.refuse(self._model, self.count, timeout)
        return "" if error is None else str(error)

    def admit(self, most: int) -> int:
        """How many of so many requests were admitted before one was refused."""
        for number in range(most):
            if self.refusal():
                return number
            self._expected.append(self._admission.add(self._run_seconds))
            self.count += 1
        return most

    def finish(self, requests: int, slowness: float = 1.0) -> None:
        """So many have waited, `slowness` times as long as the runs before them take."""
        for _ in range(min(requests, self.count)):
            expected = self._expected.pop(0)
            self._admission.observe(expected, slowness * expected)
            self._admission.remove(self._run_seconds)
            self.count -= 1


@pytest.fixture
def model(tmp_path: Path, metrics: Metrics) -> ServedModel:
    return load_model(tmp_path, models.model(models.DOUBLE), metrics)


def test_a_quick_models_burst_is_admitted_up_to_the_queues_length(model: ServedModel) -> None:
    waiting = Waiting(model, run_seconds=0.0002)
    assert waiting.admit(2000) == model.config.queue_length
    assert "has 1024 requests waiting, which is its limit" in waiting.refusal()


def test_a_queue_is_kept_at_its_target(model: ServedModel) -> None:
    waiting = Waiting(model)
    for _ in range(100):
        waiting.admit(1000)
        assert waiting.count * RUN_SECONDS / THREADS == pytest.approx(0.125, abs=RUN_SECONDS)
        assert "is asked more than it can answer within 0.125 s" in waiting.refusal()
        waiting.finish(1)


def test_as_many_clients_as_often_ask_at_once_may_wait_for_a_slow_model(model: ServedModel) -> None:
    waiting = Waiting(model, run_seconds=0.5)
    assert waiting.admit(1000) == MIN_WAITING * THREADS


def test_a_request_that_would_run_too_late_is_refused_at_once(model: ServedModel) -> None:
    waiting = Waiting(model, run_seconds=2.0)
    assert not waiting.refusal(timeout=0.5)
    waiting.admit(2)
    assert not waiting.refusal(timeout=2.5)
    assert "after more than the 0.5 s that it may wait" in waiting.refusal(timeout=0.5)
    assert waiting.admit(1000) + 2 == 31  # by then they would wait for more than 30 s


def test_a_target_that_is_never_reached_leaves_the_length_alone(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "config", ModelConfig(queue_target_seconds=86_400.0))
    waiting = Waiting(model)
    assert waiting.admit(2000) == model.config.queue_length


def test_the_mistakes_of_an_empty_queue_do_not_last(model: ServedModel) -> None:
    waiting = Waiting(model, run_seconds=1e9)
    waiting.admit(1)
    assert waiting.refusal()
    waiting.finish(1)
    assert not waiting.refusal()


@pytest.mark.parametrize("slowness", [0.5, 1, 1.5])
def test_the_target_holds_where_runs_are_not_all_that_requests_wait_for(
    model: ServedModel, slowness: float
) -> None:
    waiting = Waiting(model)
    for _ in range(200):
        waiting.finish(1, slowness)
        waiting.admit(1000)
    assert slowness * waiting.count * RUN_SECONDS / THREADS == pytest.approx(0.125, rel=0.1)

import numpy as np
import pytest
import torch
from sklearn import metrics

from adaptive_act.study.task import CLASSIFICATION, REGRESSION


def test_numbers_are_scored_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(0)
    wanted = generator.normal(size=50)
    given = wanted + generator.normal(size=50)
    scores = REGRESSION.measure(torch.tensor(given)[:, None], torch.tensor(wanted))
    assert scores.score == pytest.approx(metrics.r2_score(wanted, given), rel=1e-12)
    assert scores.loss == pytest.approx(metrics.mean_squared_error(wanted, given), rel=1e-12)
    assert scores.error == pytest.approx(metrics.mean_absolute_error(wanted, given), rel=1e-12)


def test_naming_the_mean_scores_nothing() -> None:
    wanted = torch.tensor([1.0, 2.0, 6.0])
    assert REGRESSION.measure(torch.full((3, 1), 3.0), wanted).score == pytest.approx(0)


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_counts_as_the_mean(lost: float) -> None:
    wanted = torch.tensor([1.0, 2.0, 6.0])
    scores = REGRESSION.measure(torch.tensor([[lost], [2.0], [6.0]]), wanted)
    same = REGRESSION.measure(torch.tensor([[3.0], [2.0], [6.0]]), wanted)
    assert scores.score == same.score
    assert not np.isfinite(scores.loss)


def test_the_training_loss_of_numbers_is_the_squared_error() -> None:
    outputs = torch.tensor([[1.0], [4.0]], requires_grad=True)
    loss = REGRESSION.compute_loss(outputs, torch.tensor([0.0, 2.0]))
    assert float(loss.detach()) == 2.5
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it out
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == [1.0, 2.0]


def test_classes_are_scored_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(0)
    logits, wanted = generator.normal(size=(60, 4)), generator.integers(0, 4, 60)
    scores = CLASSIFICATION.measure(torch.tensor(logits), torch.tensor(wanted))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert scores.score == pytest.approx(metrics.accuracy_score(wanted, logits.argmax(1)))
    assert scores.loss == pytest.approx(metrics.log_loss(wanted, shares), rel=1e-12)

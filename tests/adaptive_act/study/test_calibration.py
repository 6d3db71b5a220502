import math

import pytest
import torch

from adaptive_act.study.calibration import calibration_error


def by_definition(logits: torch.Tensor, labels: torch.Tensor, bins: int) -> float:
    """Bin by bin, as the paper writes it: sum over B of |B|/n · |acc(B) − conf(B)|."""
    probabilities = torch.softmax(logits.double(), 1)
    total = 0.0
    for place in range(bins):
        inside = [
            (max(row).item(), int(row.argmax() == label))
            for row, label in zip(probabilities, labels, strict=True)
            if place / bins < max(row).item() <= (place + 1) / bins
        ]
        if inside:
            confidence = sum(entry[0] for entry in inside) / len(inside)
            accuracy = sum(entry[1] for entry in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 15])
def test_it_is_what_the_definition_says(bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 5, generator=generator)
    labels = torch.randint(0, 5, (400,), generator=generator)
    assert calibration_error(logits, labels, bins) == pytest.approx(
        by_definition(logits, labels, bins), rel=1e-9
    )


def test_a_model_that_is_sure_and_right_is_calibrated_and_one_that_is_sure_and_wrong_is_not() -> None:
    logits = 100 * torch.eye(4)
    assert calibration_error(logits, torch.arange(4)) == 0
    assert calibration_error(logits, torch.arange(4).roll(1)) == pytest.approx(1)


def test_answers_that_are_no_numbers_have_no_calibration() -> None:
    assert math.isnan(calibration_error(torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.long)))

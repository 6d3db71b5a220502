import math
from dataclasses import replace

import pytest

from adaptive_act.errors import StudyError
from adaptive_act.study.plan import FIRST_TUNING_SEED
from adaptive_act.study.tuning import RateScore, choose_rates, list_trial_specs
from tests.adaptive_act.study.models import plan


def score(
    lr: float, *accuracies: float, variant: str = "ReLU", losses: tuple[float, ...] = (1, 1)
) -> RateScore:
    return RateScore(variant, lr, accuracies, losses, 0)


def test_the_best_mean_accuracy_chooses() -> None:
    scores = [score(0.1, 0.9, 0.5), score(0.2, 0.8, 0.8), score(0.3, 0.7, 0.8)]
    assert choose_rates(scores) == {"ReLU": 0.2}


def test_each_variant_has_its_own_choice() -> None:
    scores = [
        score(0.1, 0.9),
        score(0.2, 0.8),
        score(0.1, 0.8, variant="ELU"),
        score(0.2, 0.9, variant="ELU"),
    ]
    assert choose_rates(scores) == {"ReLU": 0.1, "ELU": 0.2}


def test_of_equal_accuracies_the_lesser_loss_chooses() -> None:
    scores = [score(0.1, 0.9, losses=(3,)), score(0.2, 0.9, losses=(2,)), score(0.3, 0.9, losses=(math.nan,))]
    assert choose_rates(scores) == {"ReLU": 0.2}


def test_a_rate_at_which_trials_diverge_comes_last() -> None:
    lost = replace(score(0.2, 0.0), diverged=1)  # numbers to predict: R² of a lost run is 0, and may be below
    assert choose_rates([score(0.1, -0.2), lost]) == {"ReLU": 0.1}


def test_of_equal_scores_the_smaller_rate_is_chosen() -> None:
    assert choose_rates([score(0.2, 0.9), score(0.1, 0.9), score(0.3, 0.9)]) == {"ReLU": 0.1}


def test_trials_are_apart_from_the_runs_that_are_compared() -> None:
    asked = plan("PReLU", rates=(1e-2, 1e-3))
    specs = list_trial_specs(asked, "0")
    assert [(spec.seed - FIRST_TUNING_SEED, spec.variant, spec.lr) for spec in specs] == [
        (seed, variant, lr) for seed in (0, 1) for variant in ("ReLU", "PReLU") for lr in (1e-3, 1e-2)
    ]


def test_one_rate_needs_no_trial() -> None:
    assert list_trial_specs(plan(), "0") == []


@pytest.mark.parametrize(
    "change",
    [
        {"rates": ()},
        {"rates": (0.1, 0.1)},
        {"rates": (0.1, -0.1)},
        {"rates": (math.nan,)},
        {"rates": (math.inf,)},
        {"tuning_seeds": 0},
        {"seeds": (FIRST_TUNING_SEED,)},
        {"seeds": (-1,)},
    ],
)
def test_rates_that_cannot_be_meant_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(StudyError, match="expected"):
        replace(plan(), **change)  # type: ignore[arg-type]

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from adaptive_act.study.cost import Costs, VariantCost
from adaptive_act.study.data import load_dataset
from adaptive_act.study.plan import make_run_spec
from adaptive_act.study.results import Results, gather_results
from adaptive_act.study.run import RunResult
from adaptive_act.study.statistics import Mean
from adaptive_act.study.task import CLASSIFICATION, REGRESSION
from adaptive_act.study.train import Curves
from adaptive_act.study.wording import format_difference, format_mean, summarise_answer
from tests.adaptive_act.study.models import plan

BASE = (0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90, 0.91)


def found(accuracies: Mapping[str, Sequence[float]], cost: Costs | None = None) -> Results:
    """The results of runs with these accuracies, the baseline's being BASE."""
    asked = plan(*accuracies, seeds=len(BASE))
    data = load_dataset(asked.data)
    runs = {}
    for variant, values in {"ReLU": BASE, **accuracies}.items():
        added = 0 if variant in ("ReLU", "ELU") else 2
        for seed, accuracy in enumerate(values):
            result = RunResult(variant, seed, accuracy, 0.1, 0.05, None, 0, True, 200, added, Curves())
            runs[make_run_spec(asked, data.digest, variant, seed).key] = result
    return gather_results(asked, data, runs, {}, cost or {})


def shifted(by: float) -> list[float]:
    return [value + by + 0.0001 * place for place, value in enumerate(BASE)]


def test_what_is_better_on_every_seed_pays() -> None:
    pays, sure, cost = summarise_answer(found({"PReLU": shifted(0.02), "Swish": shifted(-0.02), "ABU": BASE}))
    assert pays.startswith("Does it pay? Yes, on these data: 1 of 3 activations is more accurate than ReLU")
    assert "PReLU by +2.0" in pays
    assert "8 paired runs, by an exact sign-flip test" in sure
    assert "Less accurate: Swish." in sure
    assert "No difference shown: ABU; that is no proof that there is none." in sure
    assert (
        cost == "What does it cost? At most 2 extra parameters (1.00% of the network). 0 of 32 runs diverged."
    )


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"PReLU": BASE}, "Not shown: no activation was shown to be more accurate"),
        ({"PReLU": shifted(-0.02), "ABU": BASE}, "Not shown"),
        ({"PReLU": shifted(-0.02)}, "No: every activation that could be told from ReLU was less accurate"),
    ],
)
def test_what_is_not_better_does_not_pay(variants: dict[str, Sequence[float]], words: str) -> None:
    assert words in summarise_answer(found(variants))[0]


def test_too_few_seeds_show_no_effect() -> None:
    names = ("PReLU", "ABU", "Swish", "PELU", "NEAAF", "Snake", "ELU")
    pays = summarise_answer(found(dict.fromkeys(names, shifted(0.05))))[0]
    assert "cannot be shown with 8 seeds" in pays
    assert "corrected for 7 comparisons" in pays


def test_costs_are_said_with_the_slowest() -> None:
    one = VariantCost(Mean(1.0, 1.0, 1.0, 9), Mean(1.0, 1.0, 1.0, 9), None)
    cost = {
        "ReLU": one,
        "PReLU": replace(one, training_step=Mean(1.2, 1.1, 1.3, 9)),
        "ELU": replace(one, training_step=Mean(1.5, 1.4, 1.6, 9), latency=None, not_measured="no file"),
    }
    words = summarise_answer(found({"PReLU": BASE, "ELU": BASE}, cost))[2]
    assert "a training step 1.20 to 1.50 times (ELU) as long" in words
    assert "a prediction by the exported file 1.00 times as long" in words


def test_plain_activations_add_nothing() -> None:
    assert "What does it cost? No extra parameters." in summarise_answer(found({"ELU": BASE}))[2]


def test_differences_are_points_with_signs() -> None:
    accuracy = CLASSIFICATION.score
    assert format_difference(Mean(0.0125, -0.001, 0.026, 5), accuracy) == "+1.25 (-0.10 to +2.60)"
    assert format_difference(Mean(-0.01, float("nan"), float("nan"), 1), accuracy) == "-1.00"


def test_shares_are_per_cent_and_other_numbers_are_not() -> None:
    value = Mean(0.5, 0.4, 0.6, 5)
    assert format_mean(value, CLASSIFICATION.score) == "50.00 % (40.00 to 60.00)"
    assert format_mean(value, REGRESSION.score) == "0.500 (0.400 to 0.600)"
    assert format_difference(value, REGRESSION.score) == "+0.500 (+0.400 to +0.600)"

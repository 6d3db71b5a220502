import re

import numpy as np
import pytest

from convert.errors import UsageError
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.precision.accuracy import Accuracy, require_apart, require_enough
from convert.precision.budgets import BudgetOptions, resolve_budgets
from tests.convert.precision.networks import ROWS, as_calibration, as_own_samples, make_samples


def _measure(samples: int, lost: int, gained: int) -> Accuracy:
    original = samples * 9 // 10
    return Accuracy("y", samples, original, original - lost + gained, lost, gained)


def test_the_interval_holds_the_drop_and_narrows_with_samples() -> None:
    few, many = _measure(200, 4, 2).interval, _measure(20000, 400, 200).interval
    assert few.value == many.value == pytest.approx(0.01)
    assert few.low < 0 < few.value < few.high
    assert 0 < many.low < many.value < many.high < few.high


@pytest.mark.parametrize(
    ("accuracy", "proves", "reason"),
    [
        (_measure(1000, 0, 0), True, None),
        (_measure(1000, 20, 5), True, "drops by 1.50% .*allowed 0.50%"),
        (_measure(1000, 4, 4), True, "1000 labelled samples are too few to tell, some 1,[56][0-9]+ samples"),
        (_measure(100, 0, 0), True, "too few to tell, some 7[0-9]+ samples would do"),
        (_measure(1000, 5, 0), True, "no number of samples would do"),
        (_measure(1000, 4, 4), False, None),
        (_measure(1000, 6, 0), False, "drops by 0.60%"),
        (_measure(1, 0, 0), False, None),
        (_measure(1, 0, 1), True, "too few"),
    ],
)
def test_a_drop_that_is_named_has_to_be_shown(accuracy: Accuracy, proves: bool, reason: str | None) -> None:
    found = accuracy.find_overspent(0.005, proves=proves)
    assert found is None if reason is None else re.search(reason, found or "")


def test_a_drop_that_is_named_is_judged_alone() -> None:
    budgets = resolve_budgets("int8", BudgetOptions(max_accuracy_drop=0.01))
    assert (budgets.max_error, budgets.min_agreement, budgets.proves_drop) == (1, 0, True)
    both = resolve_budgets("int8", BudgetOptions(max_error=0.2, max_accuracy_drop=0.01))
    assert (both.max_error, both.min_agreement) == (0.2, 0)
    assert not resolve_budgets("int8", BudgetOptions(max_error=0.2)).proves_drop


def test_too_few_samples_are_refused() -> None:
    require_enough(392, 0.005)
    with pytest.raises(UsageError, match=r"391 labelled samples are too few .* at least 392"):
        require_enough(391, 0.005)
    with pytest.raises(UsageError, match="cannot be shown"):
        require_enough(10**6, 0.0)


def test_samples_of_the_calibration_data_are_refused() -> None:
    x = make_samples(ROWS, 20)
    require_apart(as_own_samples(x[:10]), as_calibration(x[10:]).sets)
    require_apart(as_own_samples(x), ())
    with pytest.raises(UsageError, match=r"^2 labelled samples are in the calibration data too"):
        require_apart(as_own_samples(np.concatenate([x[:5], x[18:]])), as_calibration(x[10:]).sets)


def test_a_lone_number_belongs_to_each_sample() -> None:
    def make_sets(x: Array, scale: float) -> list[SampleSet]:
        return [SampleSet("given", (x, np.array(scale, np.float32)), given=True)]

    x = make_samples(ROWS, 4)
    require_apart(make_sets(x, 1.0), make_sets(x, 2.0))
    with pytest.raises(UsageError, match=r"^2 labelled samples are in the calibration data too"):
        require_apart(make_sets(x[:3], 1.0), make_sets(x[1:], 1.0))

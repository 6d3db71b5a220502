"""A run that diverges is told from one that is noisy."""

import math
from typing import Any

import pytest

from adaptive_act.training.divergence import GRADIENT, LOSS, DivergenceDetector, Options

OPTIONS = Options(settle=5, patience=3)


def judged(losses: list[float], watch: DivergenceDetector | None = None) -> list[str]:
    watch = watch or DivergenceDetector(OPTIONS)
    found = [watch.judge({LOSS: loss}) for loss in losses]
    return ["fine" if alarm is None else "certain" if alarm.certain else "maybe" for alarm in found]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_certain_at_once(bad: float) -> None:
    assert judged([bad]) == ["certain"]


def test_a_high_loss_is_certain_after_patience_steps() -> None:
    assert judged([1.0] * 5 + [9.0] * 3) == ["fine"] * 5 + ["maybe", "maybe", "certain"]


def test_a_single_outlier_is_forgiven_and_forgotten() -> None:
    watch = DivergenceDetector(OPTIONS)
    assert judged([1.0] * 5 + [9.0, 9.0, 1.0, 9.0, 9.0, 1.0], watch)[5:] == ["maybe", "maybe", "fine"] * 2
    assert 9.0 not in watch.state_dict()["normal"][LOSS]


def test_nothing_counts_before_enough_is_known() -> None:
    assert judged([1.0, 50.0, 2.0, 90.0]) == ["fine"] * 4


def test_a_slow_rise_is_followed_up_to_a_doubling_and_more() -> None:
    assert set(judged([1.0 + step / 100 for step in range(200)])) == {"fine"}


def test_a_loss_near_zero_is_measured_by_where_it_began() -> None:
    falling = [2.0 * 0.8**step for step in range(60)]
    assert set(judged([*falling, *[0.1] * 10])) == {"fine"}
    assert judged([*falling, *[2.0] * 3])[-1] == "certain"


def test_a_negative_loss_has_a_limit_above_it() -> None:
    assert judged([-10.0] * 5 + [-5.0] * 3 + [20.0] * 3)[5:] == ["fine"] * 3 + ["maybe", "maybe", "certain"]


def test_each_signal_has_its_own_normal() -> None:
    watch = DivergenceDetector(OPTIONS)
    for _ in range(5):
        watch.judge({LOSS: 1.0, GRADIENT: 1000.0, "output of `a`": 0.1})
    assert watch.judge({LOSS: 1.0, GRADIENT: 2000.0, "output of `a`": 0.2}) is None
    alarm = watch.judge({LOSS: 1.0, GRADIENT: 1000.0, "output of `a`": 50.0})
    assert alarm is not None
    assert (alarm.signal, alarm.value) == ("output of `a`", 50.0)
    assert alarm.limit == pytest.approx(100 * 0.1)


def test_a_watch_that_was_saved_judges_as_the_one_before() -> None:
    watch, resumed = DivergenceDetector(OPTIONS), DivergenceDetector(OPTIONS)
    judged([1.0, 1.2, 0.9, 1.1, 1.0, 9.0], watch)
    resumed.load_state_dict(watch.state_dict())
    assert judged([9.0, 9.0, 1.0], resumed) == judged([9.0, 9.0, 1.0], watch) == ["maybe", "certain", "fine"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"patience": 0, "keep_every": 0}, "at least 1, got {'patience': 0, 'keep_every': 0}"),
        ({"settle": 20, "window": 10}, "settles after 20 of only 10"),
        ({"lower": 2.0}, "lower from 0 to 1, got 2.0"),
    ],
    ids=str,
)
def test_options_that_could_not_work_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Options(**wrong)

"""A run that diverges is told from one that is noisy."""

import math
from typing import Any

import pytest
import torch

from adaptive_act.training.divergence import GRADIENT, LOSS, DivergenceDetector, Options

OPTIONS = Options(recent=4, window=10)


def find_alarms(losses: list[float], options: Options = OPTIONS) -> list[int]:
    """The steps, from 0, at which an alarm was raised."""
    detector = DivergenceDetector(options)
    return [step for step, loss in enumerate(losses) if detector.judge({LOSS: loss}) is not None]


@pytest.mark.parametrize("signal", [LOSS, GRADIENT])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_an_alarm_at_once(signal: str, bad: float) -> None:
    alarm = DivergenceDetector(OPTIONS).judge({LOSS: 1.0, GRADIENT: 1.0} | {signal: bad})
    assert alarm is not None
    assert alarm.signal == signal


def test_a_loss_that_stays_high_is_an_alarm() -> None:
    # The medians of the halves, 1 9 and 9 9, are then 5 and 9.
    assert find_alarms([1.0] * 10 + [9.0] * 4)[0] == 12


def test_a_loss_that_goes_on_rising_is_an_alarm() -> None:
    assert find_alarms([1.0] * 10 + [3.0, 5.0, 90.0, 700.0])[0] == 13


def test_a_loss_that_comes_down_again_is_left_alone() -> None:
    falling = [90.0 * 0.95**step for step in range(100)]
    assert find_alarms([1.0] * 10 + falling, Options(recent=10)) == []


def test_outliers_are_no_alarm() -> None:
    assert find_alarms(([1.0] * 7 + [9e9]) * 10) == []


@pytest.mark.parametrize(("height", "alarms"), [(1.9, []), (2.1, [13])])
def test_high_means_twice_the_losses_before(height: float, alarms: list[int]) -> None:
    assert find_alarms([1.0] * 10 + [height] * 4) == alarms


def test_a_few_losses_before_are_enough() -> None:
    assert find_alarms([2.3] * 4 + [40.0] * 4) == []
    assert find_alarms([2.3] * 5 + [40.0] * 4) == [8]


def test_noise_of_any_scale_is_no_alarm() -> None:
    """One in ten of these losses is 47 times the median, so that a median of 20 often doubles."""
    noise = torch.randn(3000, generator=torch.Generator().manual_seed(0)).mul(3).exp().tolist()
    assert find_alarms(noise, Options()) == []
    assert find_alarms([*noise[:300], *(1000 * loss for loss in noise[300:340])], Options()) != []


def test_a_slow_rise_is_followed_up_to_a_doubling_and_more() -> None:
    assert find_alarms([1.0 + step / 10 for step in range(200)]) == []


def test_a_loss_near_zero_is_measured_by_where_it_began() -> None:
    falling = [2.0 * 0.8**step for step in range(60)]
    assert find_alarms([*falling, *[0.19] * 10]) == []
    assert find_alarms([*falling, *[0.3] * 4]) != []


def test_a_negative_loss_has_a_limit_above_it() -> None:
    assert find_alarms([-10.0] * 10 + [-1.0] * 4) == []
    assert find_alarms([-10.0] * 10 + [1.0] * 4) != []


def test_a_loss_of_zero_throughout_is_healthy() -> None:
    assert find_alarms([0.0] * 50) == []


def test_a_large_finite_gradient_is_no_alarm() -> None:
    detector = DivergenceDetector(OPTIONS)
    signals = [{LOSS: 1.0, GRADIENT: 10.0**step} for step in range(30)]
    assert [detector.judge(each) for each in signals] == [None] * 30


def test_without_a_loss_only_what_is_not_finite_counts() -> None:
    detector = DivergenceDetector(OPTIONS)
    assert detector.judge({GRADIENT: 1.0}) is None
    assert detector.judge({GRADIENT: math.inf}) is not None


def test_a_saved_detector_judges_as_the_one_before() -> None:
    saved, resumed = DivergenceDetector(OPTIONS), DivergenceDetector(OPTIONS)
    for loss in [1.0] * 10 + [9.0] * 3:
        saved.judge({LOSS: loss})
    resumed.load_state_dict(saved.state_dict())
    first, second = (detector.judge({LOSS: 9.0}) for detector in (saved, resumed))
    assert first == second
    assert first is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"read_every": 0, "keep_every": 0}, "at least 1, got {'keep_every': 0, 'read_every': 0}"),
        ({"recent": 1, "window": 4}, "at least 2 recent losses and a window of at least 5, got 1 and 4"),
        ({"lower": 2.0}, "lower from 0 to 1, got 2.0"),
        ({"loss": math.nan}, "loss limit of at least 1, got nan"),
        ({"clip_norm": 0.0}, "clip_norm above 0, or None, got 0.0"),
        ({"clip_norm": math.nan}, "clip_norm above 0, or None, got nan"),
    ],
    ids=str,
)
def test_options_that_could_not_work_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Options(**wrong)

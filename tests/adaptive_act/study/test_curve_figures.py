"""The figures of a study that follow something: nothing is moved, empty or drawn over something else."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from adaptive_act.study.curve_figures import gamma_figure, learning_figure, robustness_figure
from adaptive_act.study.figures import learned_figure
from adaptive_act.study.learned_curves import LearnedCurve
from adaptive_act.study.results import Curve, Level, Results
from adaptive_act.study.run import RunResult
from adaptive_act.study.statistics import Mean, Paired
from adaptive_act.study.task import CLASSIFICATION
from benchmarks.study_figures import build

STUDY = Path(__file__).parents[3] / "docs" / "results" / "studies" / "diabetes-mlp" / "results.json"
STEEP = (0.95, 0.9, 0.3)
SEVERITIES = (0.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def results() -> Results:
    read: Results = build(Results, json.loads(STUDY.read_text(encoding="utf-8")))
    return read


def follow(variant: str, over: float | None, diverged: int = 0) -> Curve:
    """A steep curve; the variant lies so far over the baseline, which has None."""
    levels = [
        Level(
            severity,
            Mean(score := value + (over or 0), score - 0.01, score + 0.01, 3),
            None if over is None else Paired(over, over - 0.01, over + 0.01, 3, 0.5, True, 0.25),
            diverged,
        )
        for severity, value in zip(SEVERITIES, STEEP, strict=True)
    ]
    return Curve("Gaussian noise", variant, tuple(levels))


def test_each_variant_has_a_panel_of_its_own_beside_the_baseline(results: Results) -> None:
    for shown in ("score", "loss"):
        panels = learning_figure(results, shown).axes
        assert [panel.get_title(loc="left") for panel in panels] == list(results.plan.variants)
        assert {len(panel.lines) for panel in panels} == {2}
        assert len({panel.get_ylim() for panel in panels}) == 1


def test_the_numbers_of_a_logarithmic_axis_have_room(results: Results) -> None:
    figure = learning_figure(results, "loss")
    figure.draw_without_rendering()
    for panel in figure.axes:
        low, high = panel.get_ylim()
        texts = [tick.label1 for tick in panel.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        places = sorted((text.get_window_extent().y0, text.get_window_extent().y1) for text in texts)
        assert all(above[0] > below[1] for below, above in pairwise(places))
        assert not any(text.get_text() for text in panel.get_yticklabels(minor=True))


@pytest.mark.parametrize("shift", [-1e6, -1.0], ids=["all", "some"])
def test_losses_below_0_are_drawn(results: Results, shift: float) -> None:
    outcomes = [
        replace(outcome, runs=tuple(_shift_losses(run, shift) for run in outcome.runs))
        for outcome in results.outcomes
    ]
    figure = learning_figure(replace(results, outcomes=tuple(outcomes)), "loss")
    figure.draw_without_rendering()
    assert {panel.get_yscale() for panel in figure.axes} == {"linear"}


def _shift_losses(run: RunResult, shift: float) -> RunResult:
    lower = [loss + shift for loss in run.curves.training_loss]
    return replace(run, curves=replace(run.curves, training_loss=lower))


def test_the_layers_are_named_where_no_curve_is() -> None:
    x = np.linspace(-4, 4, 9)
    learned = [
        LearnedCurve(variant, layer, x, x[np.newaxis], np.maximum(x, 0)[np.newaxis])
        for variant in ("A", "B")
        for layer in ("one", "two")
    ]
    figure = learned_figure(learned)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    assert [panel.get_legend() for panel in figure.axes] == [None, None]


def test_scores_stand_exactly_at_their_severity() -> None:
    curves = [follow("ReLU", None), *(follow(name, 0.01) for name in ("A", "B", "C", "D"))]
    left, right = robustness_figure(curves, "pixels", CLASSIFICATION.score).axes
    for line in left.lines:
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    assert len(right.containers) == 4  # the baseline's difference to itself is the line at 0
    shown = [container.lines[0].get_ydata() for container in right.containers]  # type: ignore[attr-defined]
    np.testing.assert_allclose(shown, 1.0)


def test_a_panel_of_diverged_runs_is_there_only_where_some_did() -> None:
    assert len(gamma_figure(follow("NEAAF", 0.1), CLASSIFICATION.score).axes) == 1
    assert len(gamma_figure(follow("NEAAF", 0.1, diverged=1), CLASSIFICATION.score).axes) == 2


def test_a_single_variant_that_was_compared_is_not_moved_at_all() -> None:
    curves = [follow("ReLU", None), follow("A", 0.01)]
    _, right = robustness_figure(curves, "pixels", CLASSIFICATION.score).axes
    (container,) = right.containers
    np.testing.assert_array_equal(container.lines[0].get_xdata(), [0, 1, 2])  # type: ignore[attr-defined]

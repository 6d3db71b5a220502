"""The pictures of what the layers decide."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from adaptive_act.explain import Change, Decision, Decisions, classes_figure, decisions_figure
from adaptive_act.explain.intervals import Interval
from adaptive_act.explain.subplots import LEARNED

NOTHING = Interval(0.0, -0.01, 0.01)


def change(accuracy: float) -> Change:
    around = Interval(accuracy, accuracy - 0.02, accuracy + 0.02)
    return Change(100, around, NOTHING, Interval(0.1, 0.05, 0.2), 0.5)


def change_or_none(accuracy: float | None) -> Change | None:
    return None if accuracy is None else change(accuracy)


def decisions(*by_layer: Sequence[float | None]) -> Decisions:
    rows = [
        Decision(
            f"layer.{place}", "", change(row[0] or 0), tuple(None if v is None else change(v) for v in row)
        )
        for place, row in enumerate(by_layer)
    ]
    classes = tuple(f"class {place}" for place in range(len(by_layer[0])))
    return Decisions(100, NOTHING, NOTHING, classes, rows[-1], tuple(rows[:-1]))


def test_each_layer_has_a_row_with_its_interval() -> None:
    figure = decisions_figure(decisions([-0.1], [0.01], [-0.3]))
    accuracy = figure.axes[0]
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["layer.0", "layer.1", "layer.2"]
    segments = accuracy.collections[0].get_segments()  # type: ignore[attr-defined]
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [[-12, -8], [-1, 3], [-32, -28]])


def test_dots_are_filled_where_the_interval_excludes_zero() -> None:
    accuracy = decisions_figure(decisions([-0.1], [0.01], [-0.3])).axes[0]
    filled, hollow = accuracy.collections[1:3]
    np.testing.assert_allclose(np.asarray(filled.get_offsets())[:, 0], [-10, -30])
    np.testing.assert_allclose(np.asarray(hollow.get_offsets())[:, 0], [1])
    assert np.asarray(filled.get_facecolor())[0].tolist() == list(to_rgba(LEARNED))
    assert np.asarray(hollow.get_facecolor())[0].tolist() == list(to_rgba("white"))


def test_every_axis_has_its_unit() -> None:
    labels = [axes.get_xlabel() for axes in decisions_figure(decisions([0.1], [0.2])).axes]
    assert ["[percentage points]" in labels[0], "[nats]" in labels[1], "[% of samples]" in labels[2]] == [
        True
    ] * 3


def test_the_map_writes_each_change_that_there_is() -> None:
    panel, _ = classes_figure(decisions([-0.1, 0.0, None], [0.25, 0.004, 0.1])).axes
    assert {text.get_text() for text in panel.texts} == {"−10", "–", "+25", "+0.4", "+10"}


def test_of_many_classes_those_that_change_most_are_shown() -> None:
    changes: list[float | None] = [0.0] * 50
    changes[7], changes[42] = 0.2, -0.3
    panel, _ = classes_figure(decisions(changes, changes)).axes
    names = [label.get_text() for label in panel.get_xticklabels()]
    assert len(names) == 20
    assert {"class 7", "class 42"} <= set(names)


@pytest.mark.parametrize("count", [1, 50])
def test_a_row_has_the_same_height_however_many_there_are(count: int) -> None:
    panel = decisions_figure(decisions(*[[0.1]] * (count + 1))).axes[0]
    height = panel.get_position().height * panel.figure.get_figheight()  # type: ignore[union-attr]
    assert height / (count + 1) == pytest.approx(0.24)


def test_numbers_stand_out_from_their_field() -> None:
    """WCAG 2.2 asks 3 : 1 of what is not running text."""
    panel, _ = classes_figure(
        decisions([value / 100 for value in range(-30, 31, 3) if value], [0.3] * 20)
    ).axes
    (image,) = panel.images
    for text in panel.texts:
        column, row = text.get_position()
        behind = image.to_rgba(np.asarray(image.get_array())[int(row), int(column)])
        one, other = sorted((luminance(to_rgba(text.get_color())), luminance(behind)), reverse=True)
        assert (one + 0.05) / (other + 0.05) >= 4


def luminance(colour: "tuple[float, ...] | np.ndarray") -> float:
    channels = torch.tensor([float(part) for part in colour[:3]], dtype=torch.float64)
    linear = torch.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64))

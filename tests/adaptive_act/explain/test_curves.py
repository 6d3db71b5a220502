"""The pictures of the learned curves."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from adaptive_act import PELU, DYReLU, PReLU
from adaptive_act.explain import curves_figure, draw_curves, layers, reach
from adaptive_act.explain.subplots import LEARNED, START
from tests.adaptive_act.explain.models import batches, learned


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def lines(panel: Axes, colour: str) -> Iterator[np.ndarray]:
    return (np.asarray(line.get_ydata()) for line in panel.lines if line.get_color() == colour)


def figure_of(channels: int | None, with_data: bool = True) -> Figure:
    model = nn.Sequential(PReLU(channels, a=torch.linspace(-0.1, 0.5, channels or 1)))
    reached = reach(model, [torch.randn(50, channels or 1)]) if with_data else None
    return curves_figure(layers(model, reached))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_it_has_a_panel_for_each_layer(count: int, tmp_path: Path) -> None:
    activations = {f"block.{i}": PReLU(channels=4, a=0.1 * i) for i in range(count)}
    starts = {f"block.{i}": PELU() for i in range(count)}
    path = tmp_path / "curves.png"
    draw_curves(activations, starts, path)
    height, width, _ = image.imread(path).shape
    rows, columns = -(-count // 4), min(4, max(2, count))
    assert width / columns == pytest.approx(3.3 * 120, abs=2)
    assert height == pytest.approx((rows * 2.87 + 0.32) * 120, abs=2)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_suffix_says_what_is_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"curves{suffix}"
    draw_curves({"a": PReLU()}, {"a": PELU()}, path)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_each_panel_shows_curve_start_and_histogram() -> None:
    model = learned()
    first, _ = layers(model, reach(model, [x for x, _ in batches()]))
    panel, strip, *_ = curves_figure([first]).axes
    np.testing.assert_array_equal(next(lines(panel, LEARNED)), first.learned[0])
    np.testing.assert_array_equal(next(lines(panel, START)), first.start[0])
    assert panel.get_xlim() == strip.get_xlim() == (first.points[0], first.points[-1])
    assert first.reach is not None
    (histogram,) = strip.patches
    heights = np.asarray(histogram.get_data().values)  # type: ignore[attr-defined]  # a StepPatch
    np.testing.assert_allclose(heights, np.asarray(100 * first.reach.shares))


def test_axes_have_names_and_units() -> None:
    panel, strip = figure_of(None).axes
    labels = (panel.get_ylabel(), strip.get_ylabel(), strip.get_xlabel())
    assert labels == ("output f(x)", "% of\ninputs", "input x")


@pytest.mark.parametrize(
    ("channels", "thin", "bands"), [(None, 1, 0), (1, 1, 0), (8, 8, 0), (32, 32, 0), (33, 1, 2), (128, 1, 2)]
)
def test_many_channels_become_bands(channels: int | None, thin: int, bands: int) -> None:
    panel = figure_of(channels).axes[0]
    assert len(list(lines(panel, LEARNED))) == thin
    assert len(panel.collections) == bands


def test_the_legend_names_only_what_is_shown() -> None:
    for channels, with_data, expected in (
        (None, False, ["learned", "start"]),
        (4, True, ["learned, one channel", "start", "what reached it"]),
        (40, False, ["learned, median channel", "half of the channels", "all channels", "start"]),
    ):
        (legend,) = figure_of(channels, with_data).legends
        assert [text.get_text() for text in legend.get_texts()] == expected


def test_a_layer_without_data_among_others_says_so() -> None:
    model = nn.ModuleDict({"used": PReLU(), "unused": PReLU()})
    reached = reach(nn.Sequential(model["used"]), [torch.randn(9)])
    assert "no input reached it" in texts(curves_figure(layers(model, {"used": reached["0"]})))


def test_long_names_are_shortened_in_the_middle() -> None:
    name = "encoder.layers.11.attention.output.intermediate_activation"
    shown = texts(curves_figure(layers(nn.ModuleDict({name.replace(".", "_"): PReLU()}))))
    (short,) = (text for text in shown if "…" in text)
    assert len(short) <= 34
    assert short.startswith("encoder")
    assert short.endswith("activation")


def test_what_looks_at_more_than_one_input_is_named_so() -> None:
    assert "DYReLU on a constant map" in texts(curves_figure(layers(nn.Sequential(DYReLU(channels=4)))))

"""The picture of the learned curves."""

from pathlib import Path

import pytest
from matplotlib import image

from adaptive_act import PELU, PReLU
from adaptive_act.explain import draw_curves


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_it_has_a_panel_for_each_layer(layers: int, tmp_path: Path) -> None:
    learned = {f"block.{i}": PReLU(channels=4, a=0.1 * i) for i in range(layers)}
    starts = {f"block.{i}": PELU() for i in range(layers)}
    path = tmp_path / "curves.png"
    draw_curves(learned, starts, path)
    height, width, _ = image.imread(path).shape
    rows, columns = -(-layers // 4), min(4, layers)
    assert width / columns == pytest.approx(3.3 * 120, abs=2)
    assert height / rows == pytest.approx(3.0 * 120, abs=2)

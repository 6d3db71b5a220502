"""The band of the effect as it closes around the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt


@dataclass(frozen=True, slots=True)
class Look:
    """What was known after so many labels; NaN where nothing was."""

    labels: int
    effect: float
    low: float
    high: float
    scale: str
    """Whether the effect is a `difference` or a `ratio`."""


def draw_band(looks: Sequence[Look], truth: float, path: Path) -> None:
    """Writes the picture of all looks on the scale of the last one to `path`."""
    scale = looks[-1].scale
    looks = [look for look in looks if look.scale == scale]
    labels = [look.labels for look in looks]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.fill_between(
        labels,
        [look.low for look in looks],
        [look.high for look in looks],
        alpha=0.25,
        label="95 % band, valid at every look",
    )
    axes.plot(labels, [look.effect for look in looks], label="estimate")
    axes.axhline(truth, color="black", linestyle="--", label="the truth")
    axes.axhline(float(scale == "ratio"), color="grey", linewidth=0.8)
    axes.set(xlabel="units with a label", ylabel=f"{scale} of adaptive and ReLU")
    if scale == "ratio":
        axes.set_yscale("log")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)

"""What a manifest holds of curves, drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adaptive_act.explain.curves import Drawn, Reached, drawn
from convert.manifest import ActivationRecord, ReachRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_picture(activations: Sequence[ActivationRecord]) -> "Figure":
    """One panel a layer: its learned curve over its start, and below it the histogram of what reached it."""
    return drawn([_drawn(one) for one in activations])


def _drawn(one: ActivationRecord) -> Drawn:
    return Drawn(
        name=one.layer,
        kind=one.kind,
        values={name: np.array(numbers) for name, numbers in one.values.items()},
        points=np.array(one.curve.points),
        learned=np.array(one.curve.values),
        start=None if one.start is None else np.array(one.start.curve),
        reached=None if one.reach is None else _reached(one.reach),
    )


def _reached(reach: ReachRecord) -> Reached:
    edges = np.linspace(reach.low, reach.high, len(reach.shares) + 1)
    return Reached(edges, np.array(reach.shares), reach.below_zero)

"""The learned curves of the first seed's runs, and the curves at their start."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from adaptive_act.activation import named_activations
from adaptive_act.study.data import Dataset
from adaptive_act.study.execute import load_trained_model
from adaptive_act.study.plan import Plan, make_run_spec
from adaptive_act.study.run import build_untrained
from adaptive_act.study.variants import Variant

SPAN = 4.0
POINTS = 161
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LearnedCurve:
    """One layer's activation at `points` [n]: `start` and `learned` are [channels, n], [1, n] if shared."""

    variant: str
    layer: str
    points: Numbers
    start: Numbers
    learned: Numbers


def compare_curves(plan: Plan, data: Dataset, folder: Path) -> list[LearnedCurve]:
    """A curve for each layer of each learned variant of the plan, from the first seed's trained model."""
    points = torch.linspace(-SPAN, SPAN, POINTS, dtype=torch.float64)
    curves = []
    for text in plan.variants:
        if not Variant.parse(text).learns:
            continue
        spec = make_run_spec(plan, data.digest, text, plan.seeds[0])
        trained = named_activations(load_trained_model(folder, spec, data.shape, data.outputs))
        begun = named_activations(build_untrained(spec, data).model)
        for layer, activation in trained.items():
            before, after = begun[layer].curve(points), activation.curve(points)
            curves.append(LearnedCurve(text, layer, points.numpy(), before.numpy(), after.numpy()))
    return curves

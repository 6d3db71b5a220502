"""Input-dependent activations in numpy, from their papers: x is [N, C, places], for Funnel [N, C, H, W]."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adaptive_act import Activation, APReLU, Dice, DYReLU, Funnel, MetaACON

Array = np.ndarray[Any, np.dtype[np.float64]]
State = Mapping[str, Array]
"""The activation's state_dict."""


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def normal(z: Array, state: State, name: str, eps: float = 1e-5) -> Array:
    """Batch normalisation of [N, C, ...] with running statistics."""
    shape = (1, -1, *(1,) * (z.ndim - 2))
    mean, variance = (state[f"{name}.running_{what}"].reshape(shape) for what in ("mean", "var"))
    scale = state.get(f"{name}.weight", np.ones(z.shape[1])).reshape(shape)
    shift = state.get(f"{name}.bias", np.zeros(z.shape[1])).reshape(shape)
    return (z - mean) / np.sqrt(variance + eps) * scale + shift


def dynamic_relu(x: Array, s: State) -> Array:
    hidden = np.maximum(x.mean(2) @ s["squeeze.weight"].T + s["squeeze.bias"], 0)
    z = hidden @ s["excite.weight"].T + s["excite.bias"]
    theta = (2 * sigmoid(2 * z) - 1).reshape(len(x), 4, -1, 1)
    a1, a2, b1, b2 = 1 + 1.0 * theta[:, 0], 1.0 * theta[:, 1], 0.5 * theta[:, 2], 0.5 * theta[:, 3]
    return np.maximum(a1 * x + b1, a2 * x + b2)


def meta_acon(x: Array, s: State) -> Array:
    hidden = x.mean(2) @ s["squeeze.weight"].T + s["squeeze.bias"]
    beta = 2 * sigmoid(hidden @ s["excite.weight"].T + s["excite.bias"])[:, :, None]
    p1, p2 = s["p1"][:, None], s["p2"][:, None]
    return (p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x


def adaptively_parametric_relu(x: Array, s: State) -> Array:
    seen = np.concatenate([np.maximum(x, 0).mean(2), np.minimum(x, 0).mean(2)], axis=1)
    hidden = np.maximum(normal(seen @ s["squeeze.weight"].T, s, "squeeze_norm"), 0)
    z = normal(hidden @ s["excite.weight"].T, s, "excite_norm")[:, :, None]
    return np.where(x > 0, x, (s["a"][:, None] + sigmoid(z) - 0.5) * x)


def dice(x: Array, s: State) -> Array:
    p = sigmoid(normal(x, s, "norm", eps=1e-8))
    return p * x + (1 - p) * s["alpha"][:, None] * x


def funnel(x: Array, s: State) -> Array:
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    near = sum(
        s["filter.weight"][:, 0, i, j][:, None, None] * padded[:, :, i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    )
    return np.maximum(x, normal(np.asarray(near), s, "norm"))


PAPERS: Mapping[type[Activation], Callable[[Array, State], Array]] = {
    DYReLU: dynamic_relu,
    MetaACON: meta_acon,
    APReLU: adaptively_parametric_relu,
    Dice: dice,
    Funnel: funnel,
}

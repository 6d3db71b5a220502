"""Which weights show in a model's outputs at first order, all by one backward pass."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from convert.model_io.forward import to_tensors
from convert.model_io.outputs import name_outputs
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.parity.weights import ModuleWeights

CERTAIN = 5.0
"""The sum of N random signs times the errors is beyond this times √N times the largest of them with a
probability below 2 · exp(-CERTAIN² / 2) = 7e-6 (Hoeffding 1963, https://doi.org/10.1080/01621459.1963.10500830)."""
LEAST_ALLOWANCE = 1e-20  # of an output that is always zero, and allowed nothing


def find_moving(
    original: Original, weights: ModuleWeights, samples: SampleSet, allowed: Mapping[str, float]
) -> dict[str, bool] | None:
    """Of the weights that move an output at first order, whether that is certainly beyond what it is allowed.

    None where torch cannot differentiate the model.
    """
    parameters = {
        name: tensor for name, tensor in weights.tensors.items() if isinstance(tensor, nn.Parameter)
    }
    try:
        with _require_gradients(parameters.values()):
            total, numbers = _add_outputs(original, samples, allowed)
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    except Exception:  # noqa: BLE001  # foreign code, or a step of it that cannot be differentiated
        return None
    limit = CERTAIN * numbers**0.5
    changes = {
        name: abs(_predict(gradient, weights.step(name)))
        for name, gradient in zip(parameters, found, strict=True)
        if gradient is not None
    }
    return {name: limit < change < torch.inf for name, change in changes.items() if change}


@contextmanager
def _require_gradients(parameters: Collection[Tensor]) -> Iterator[None]:
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for parameter, required in zip(parameters, before, strict=True):
            parameter.requires_grad_(required)


def _add_outputs(original: Original, samples: SampleSet, allowed: Mapping[str, float]) -> tuple[Tensor, int]:
    """The sum of all numbers with random signs, each over its allowance, and how many they are."""
    outputs = name_outputs(original.float32(*to_tensors(samples.arrays)), original.outputs)
    random = torch.Generator().manual_seed(0)
    total, count = torch.zeros(()), 0
    for name, values in outputs.items():
        if values.requires_grad:
            signs = torch.randint(0, 2, values.shape, generator=random).to(values.dtype) * 2 - 1
            total = total + (values * signs).sum() / max(allowed[name], LEAST_ALLOWANCE)
            count += values.numel()
    return total, count


def _predict(gradient: Tensor, step: Tensor) -> float:
    return float(torch.dot(gradient.detach().reshape(-1), step.reshape(-1)))

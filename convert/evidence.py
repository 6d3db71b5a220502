"""Writes down what the stages found, as the manifest's fields."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from convert import manifest
from convert.load import Source
from convert.optimise import Optimised
from convert.parity import CRITERION, QUANTILES, Comparison
from convert.verify import Parity

CURVE_POINTS = 33
CURVE_CHANNELS = 16
RECORDED = ("adaptact", "torch", "onnx", "onnxruntime")


def evidence(source: Source, optimised: Optimised, parity: Parity) -> manifest.Manifest:
    """The manifest of a file that passed: the same for the same source, options and versions."""
    graph = optimised.model.graph
    return manifest.Manifest(
        format=manifest.FORMAT,
        source_digest=source.digest,
        versions={name: version(name) for name in RECORDED},
        opset=optimised.model.opset_imports[""],
        precision="fp32",
        inputs=tuple(_tensor(value) for value in graph.inputs),
        outputs=tuple(_tensor(value) for value in graph.outputs),
        classes=source.classes,
        preprocessing=dict(source.preprocessing) if source.preprocessing is not None else None,
        activations=_activations(source.model),
        fired=tuple(manifest.FiredRecord(rule, times) for rule, times in optimised.counts().items()),
        declined=tuple(
            manifest.DeclinedRecord(one.rule, one.layer, one.reason) for one in optimised.refusals
        ),
        parity=_parity(parity),
    )


def _tensor(value: ir.Value) -> manifest.TensorRecord:
    shape = value.shape if value.shape is not None else ()
    sizes = tuple(size if isinstance(size, int) else str(size.value) for size in shape)
    return manifest.TensorRecord(value.name or "", value.dtype.numpy().name if value.dtype else "", sizes)


def _activations(model: nn.Module) -> tuple[manifest.ActivationRecord, ...]:
    return tuple(_activation(layer, activation) for layer, activation in named_activations(model).items())


def _activation(layer: str, activation: Activation) -> manifest.ActivationRecord:
    points = torch.linspace(-4, 4, CURVE_POINTS, dtype=torch.float64)
    curves = activation.curve(points)
    count = curves.shape[0]
    shown = sorted({round(place) for place in np.linspace(0, count - 1, min(count, CURVE_CHANNELS))})
    return manifest.ActivationRecord(
        layer=layer,
        kind=type(activation).__name__,
        formula=(type(activation).__doc__ or "").strip().partition("\n")[0],
        options=activation.options(),
        values={name: _numbers(values) for name, values in activation.values().items()},
        curve=manifest.CurveRecord(
            _numbers(points), tuple(shown), tuple(_numbers(curves[row]) for row in shown)
        ),
    )


def _numbers(values: Tensor) -> tuple[float, ...]:
    """Nine digits: enough to give every float32 back."""
    return tuple(float(f"{number:.9g}") for number in values.detach().double().reshape(-1).tolist())


def _parity(parity: Parity) -> manifest.ParityRecord:
    by_output: dict[str, list[Comparison]] = {}
    for comparison in parity.comparisons:
        by_output.setdefault(comparison.output, []).append(comparison)
    return manifest.ParityRecord(
        criterion=CRITERION,
        outputs=tuple(_output(name, found, parity) for name, found in by_output.items()),
        sets=_sets(parity),
    )


def _output(name: str, comparisons: Sequence[Comparison], parity: Parity) -> manifest.OutputRecord:
    worst = max(comparisons, key=lambda comparison: comparison.used)
    typical = {run.name for run in parity.runs if run.typical}
    errors = np.concatenate([comparison.errors for comparison in comparisons if comparison.run in typical])
    quantiles = np.quantile(errors, QUANTILES) if errors.size else np.zeros(len(QUANTILES))
    return manifest.OutputRecord(
        name=name,
        scale=_rounded(worst.scale),
        original_error=_rounded(worst.original_error),
        file_error=_rounded(worst.file_error),
        allowed=_rounded(worst.allowed),
        tolerance=parity.tolerances.get(name),
        worst_set=worst.run,
        quantiles={f"{share:g}": _rounded(error) for share, error in zip(QUANTILES, quantiles, strict=True)},
    )


def _sets(parity: Parity) -> tuple[manifest.SetRecord, ...]:
    counts: dict[str, Counter[str]] = {}
    for comparison in parity.comparisons:
        counts.setdefault(comparison.run, Counter()).update(
            overflowed=comparison.overflowed,
            non_finite=comparison.non_finite,
            non_finite_lost=comparison.non_finite_lost,
        )
    return tuple(
        manifest.SetRecord(
            run.name,
            run.samples,
            counts[run.name]["overflowed"],
            counts[run.name]["non_finite"],
            counts[run.name]["non_finite_lost"],
        )
        for run in parity.runs
    )


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")

"""The stages' results as the manifest's records: what was learned, and how exact the file is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.errors import ExplainError
from adaptive_act.explain.intervals import wilson
from adaptive_act.explain.layers import Layer, layers
from adaptive_act.explain.reach import Reach, reach
from adaptive_act.explain.start import Start, places
from adaptive_act.explain.wording import explained
from convert.manifest import manifest
from convert.model_io.samples import SampleSet, most_like_data
from convert.parity.criterion import CRITERION, QUANTILES, Agreement, Array, Comparison, scales, top1
from convert.parity.verify import Parity
from convert.rewriting.optimise import Optimised
from convert.sources.source import Source

CURVE_POINTS = 33
CURVE_CHANNELS = 16
BINS = 64


def learned(model: nn.Module, samples: Sequence[SampleSet]) -> tuple[manifest.ActivationRecord, ...]:
    """Each learned activation under each of its names, and what reaches it on these samples."""
    found = named_activations(model)
    if not found:
        return ()
    known = {
        name: (place.start, layer)
        for place, layer in zip(places(model), layers(model, _reached(model, samples)), strict=True)
        for name in (layer.name, *layer.also)
    }
    return tuple(_activation(name, activation, *known[name]) for name, activation in found.items())


def _reached(model: nn.Module, samples: Sequence[SampleSet]) -> Mapping[str, Reach]:
    # Copies, since a model may write into what it is given.
    batches = [tuple(torch.tensor(array) for array in one.arrays) for one in samples]
    try:
        return reach(model, batches, bins=BINS)
    except ExplainError:  # nothing finite reached any of them
        return {}


def _activation(name: str, activation: Activation, start: Start, layer: Layer) -> manifest.ActivationRecord:
    points = torch.linspace(-4, 4, CURVE_POINTS, dtype=torch.float64)
    curves = activation.curve(points)
    count = curves.shape[0]
    shown = sorted({round(place) for place in np.linspace(0, count - 1, min(count, CURVE_CHANNELS))})
    started = start.activation.curve(points).expand_as(curves)
    return manifest.ActivationRecord(
        layer=name,
        kind=layer.kind,
        formula=(type(activation).__doc__ or "").strip().partition("\n")[0],
        options=activation.options(),
        values={parameter: _numbers(values) for parameter, values in activation.values().items()},
        curve=manifest.CurveRecord(_numbers(points), tuple(shown), _rows(curves, shown)),
        replaced=layer.replaced,
        words=explained(layer),
        start=manifest.StartRecord(
            origin=start.origin,
            values={key: _numbers(value) for key, value in start.activation.values().items()},
            curve=_rows(started, shown),
        ),
        reach=None if layer.reach is None else _reach(layer.reach),
    )


def _rows(curves: Tensor, shown: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    return tuple(_numbers(curves[row]) for row in shown)


def _reach(seen: Reach) -> manifest.ReachRecord:
    return manifest.ReachRecord(
        inputs=int(seen.total.sum()),
        low=float(f"{seen.edges[0]:.6g}"),
        high=float(f"{seen.edges[-1]:.6g}"),
        shares=tuple(float(f"{share:.3g}") for share in seen.shares),
        below_zero=float(f"{seen.share_below_zero:.4g}"),
    )


def _numbers(values: Tensor) -> tuple[float, ...]:
    """Nine digits: enough to give every float32 back."""
    return tuple(float(f"{number:.9g}") for number in values.detach().double().reshape(-1).tolist())


def measured(parity: Parity) -> manifest.ParityRecord:
    """What was compared and found, whether it passed or not; an error that is not finite is `inf`."""
    by_output: dict[str, list[Comparison]] = {}
    for comparison in parity.comparisons:
        by_output.setdefault(comparison.output, []).append(comparison)
    usual = scales(parity.runs)
    return manifest.ParityRecord(
        criterion=CRITERION,
        outputs=tuple(_output(name, found, parity, usual[name]) for name, found in by_output.items()),
        sets=_sets(parity),
    )


def _output(
    name: str, comparisons: Sequence[Comparison], parity: Parity, usual: float
) -> manifest.OutputRecord:
    worst = max(comparisons, key=lambda comparison: (not comparison.passed, comparison.used))
    typical = {run.name for run in parity.runs if run.typical}
    shown = [comparison for comparison in comparisons if comparison.run in typical]
    errors = _joined([comparison.errors for comparison in shown])
    original = _joined([comparison.original_errors for comparison in shown])
    return manifest.OutputRecord(
        name=name,
        scale=_rounded(worst.scale),
        original_error=_rounded(worst.original_error),
        file_error=_rounded(worst.file_error),
        allowed=_rounded(worst.allowed),
        tolerance=parity.tolerances.get(name),
        worst_set=worst.run,
        quantiles=_quantiles(errors),
        original_quantiles=_quantiles(original),
        typical_scale=_rounded(usual),
        ratio=_ratio(errors, original),
        top1=_agreement(top1(parity.runs, name)),
    )


def _joined(errors: Sequence[Array]) -> Array:
    return np.concatenate([*errors, np.zeros(0)])


def _quantiles(errors: Array) -> dict[str, float]:
    # By order and not between two errors, one of which may be infinite.
    found = np.quantile(errors, QUANTILES, method="higher") if errors.size else np.zeros(len(QUANTILES))
    return {f"{share:g}": _rounded(error) for share, error in zip(QUANTILES, found, strict=True)}


def _ratio(errors: Array, original: Array) -> float | None:
    own = np.sqrt(np.square(original).mean()) if original.size else 0.0
    return _rounded(np.sqrt(np.square(errors).mean()) / own) if own else None


def _agreement(found: Agreement | None) -> manifest.AgreementRecord | None:
    if found is None or not found.samples:
        return None
    share = wilson(found.agreed, found.samples)
    return manifest.AgreementRecord(
        found.samples,
        found.agreed,
        found.original_agreed,
        float(f"{share.low:.6g}"),
        float(f"{share.high:.6g}"),
    )


def _sets(parity: Parity) -> tuple[manifest.SetRecord, ...]:
    counts: dict[str, Counter[str]] = {}
    used: dict[str, dict[str, float]] = {}
    for comparison in parity.comparisons:
        used.setdefault(comparison.run, {})[comparison.output] = _rounded(comparison.used)
        counts.setdefault(comparison.run, Counter()).update(
            overflowed=comparison.overflowed,
            non_finite=comparison.non_finite,
            non_finite_lost=comparison.non_finite_lost,
            non_finite_gained=comparison.non_finite_gained,
        )
    return tuple(
        manifest.SetRecord(run.name, run.samples, used=used[run.name], **counts[run.name])
        for run in parity.runs
    )


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")


RECORDED = ("adaptact", "torch", "onnx")


def evidence(
    source: Source, optimised: Optimised, parity: Parity, sets: Sequence[SampleSet]
) -> manifest.Manifest:
    """The manifest of a file that passed on these sets; equal for equal source, options and versions."""
    graph = optimised.model.graph
    return manifest.Manifest(
        format=manifest.FORMAT,
        source_digest=source.digest,
        # ONNX Runtime's own word: the distribution for a GPU has another name.
        versions={name: version(name) for name in RECORDED} | {"onnxruntime": onnxruntime.__version__},
        opset=optimised.model.opset_imports[""],
        precision="fp32",
        inputs=tuple(_tensor(value) for value in graph.inputs),
        outputs=tuple(_tensor(value) for value in graph.outputs),
        classes=source.classes,
        preprocessing=dict(source.preprocessing) if source.preprocessing is not None else None,
        activations=learned(source.model, most_like_data(sets)),
        fired=tuple(manifest.FiredRecord(rule, times) for rule, times in optimised.counts().items()),
        declined=tuple(
            manifest.DeclinedRecord(one.rule, one.layer, one.reason) for one in optimised.refusals
        ),
        dropped=tuple(manifest.DroppedRecord(one.rule, one.reason) for one in optimised.dropped),
        parity=measured(parity),
        source_kind=source.kind,
        reference=source.reference,
    )


def _tensor(value: ir.Value) -> manifest.TensorRecord:
    shape = value.shape if value.shape is not None else ()
    sizes = tuple(size if isinstance(size, int) else str(size.value) for size in shape)
    return manifest.TensorRecord(value.name or "", value.dtype.numpy().name if value.dtype else "", sizes)

"""The manifest of a conversion: its stages' results as records, above all the activations and parity."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch import Tensor, nn

from adaptact.languages.spoken import speak
from adaptive_act.activation import Activation, named_activations
from adaptive_act.errors import ExplainError
from adaptive_act.explain.intervals import wilson_interval
from adaptive_act.explain.layers import Layer, layers
from adaptive_act.explain.reach import Reach, reach
from adaptive_act.explain.start import Start, find_starts
from adaptive_act.explain.wording import explain_layer
from convert.graph.nodes import list_layers
from convert.manifest import manifest
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.array import Array, name_dtype
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import SampleSet, choose_shown_samples
from convert.parity.agreement import Agreement, count_top1
from convert.parity.criterion import CRITERION, QUANTILES, Comparison, measure_scales
from convert.parity.verify import Parity
from convert.rewriting.optimise import OptimisedGraph
from convert.sources.source import Source

CURVE_POINTS = 33
CURVE_CHANNELS = 16
BINS = 64
RECORDED = ("adaptact", "torch", "onnx")


def collect_evidence(
    source: Source, optimised: OptimisedGraph, parity: Parity, sets: Sequence[SampleSet]
) -> manifest.Manifest:
    """The manifest of a file that passed on these sets; equal for equal source, options and versions."""
    graph = optimised.model.graph
    return manifest.Manifest(
        format=manifest.FORMAT,
        source_digest=source.digest,
        # From the module: the distribution for a GPU has another name.
        versions={name: version(name) for name in RECORDED} | {"onnxruntime": onnxruntime.__version__},
        opset=optimised.model.opset_imports[""],
        precision="fp32",
        inputs=tuple(_record_input(value, source.inputs) for value in graph.inputs),
        outputs=tuple(_record_tensor(value) for value in graph.outputs),
        classes=source.classes,
        preprocessing=dict(source.preprocessing) if source.preprocessing is not None else None,
        activations=tuple(
            replace(record, operators=_list_operators(graph, record.layer))
            for record in record_activations(source.model, choose_shown_samples(sets))
        ),
        fired=tuple(manifest.FiredRecord(rule, times) for rule, times in optimised.count_firings().items()),
        declined=tuple(
            manifest.DeclinedRecord(refusal.rule, refusal.layer, refusal.reason)
            for refusal in optimised.refusals
        ),
        dropped=tuple(manifest.DroppedRecord(rule.rule, rule.reason) for rule in optimised.dropped),
        parity=record_parity(parity),
        sizes=_list_size_bounds(source),
        tried_sizes=tuple(dict(samples.sizes) for samples in sets if samples.sizes),
        source_kind=source.kind,
        source_notes=source.notes,
        reference=source.reference,
    )


def _list_operators(graph: ir.Graph, layer: str) -> tuple[str, ...]:
    """Those of the layer's nodes, in their order."""
    return tuple(node.op_type for node in graph if layer in list_layers(node))


def _list_size_bounds(source: Source) -> tuple[SizeBounds, ...]:
    """The bounds of the inputs' sizes, each once."""
    return tuple(dict.fromkeys(bounds for spec in source.inputs for bounds in spec.size_bounds))


def record_activations(
    model: nn.Module, samples: Sequence[SampleSet]
) -> tuple[manifest.ActivationRecord, ...]:
    """Each learned activation under each of its names, with the histogram of its inputs on these samples."""
    activations = named_activations(model)
    if not activations:
        return ()
    known = {
        name: (place.start, layer)
        for place, layer in zip(
            find_starts(model), layers(model, _measure_reach(model, samples)), strict=True
        )
        for name in (layer.name, *layer.also)
    }
    return tuple(
        _record_activation(name, activation, *known[name]) for name, activation in activations.items()
    )


def _measure_reach(model: nn.Module, samples: Sequence[SampleSet]) -> Mapping[str, Reach]:
    # Copies, since a model may write into its inputs.
    batches = [tuple(torch.tensor(array) for array in batch.arrays) for batch in samples]
    try:
        return reach(model, batches, bins=BINS)
    except ExplainError:  # nothing finite reached any of them
        return {}


def _record_activation(
    name: str, activation: Activation, start: Start, layer: Layer
) -> manifest.ActivationRecord:
    points = torch.linspace(-4, 4, CURVE_POINTS, dtype=torch.float64)
    curves = activation.curve(points)
    count = curves.shape[0]
    shown = sorted({round(place) for place in np.linspace(0, count - 1, min(count, CURVE_CHANNELS))})
    started = start.activation.curve(points).expand_as(curves)
    with speak("en"):  # as manifests are written; `retell` says it in other languages
        words = explain_layer(layer)
    return manifest.ActivationRecord(
        layer=name,
        kind=layer.kind,
        formula=(type(activation).__doc__ or "").strip().partition("\n")[0],
        options=activation.options(),
        values={parameter: _to_numbers(values) for parameter, values in activation.values().items()},
        curve=manifest.CurveRecord(_to_numbers(points), tuple(shown), _pick_rows(curves, shown)),
        replaced=layer.replaced,
        words=words,
        start=manifest.StartRecord(
            origin=start.origin,
            values={key: _to_numbers(value) for key, value in start.activation.values().items()},
            curve=_pick_rows(started, shown),
        ),
        reach=None if layer.reach is None else _record_reach(layer.reach),
    )


def _pick_rows(curves: Tensor, shown: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    return tuple(_to_numbers(curves[row]) for row in shown)


def _record_reach(measured: Reach) -> manifest.ReachRecord:
    return manifest.ReachRecord(
        inputs=int(measured.total.sum()),
        low=float(f"{measured.edges[0]:.6g}"),
        high=float(f"{measured.edges[-1]:.6g}"),
        shares=tuple(float(f"{share:.3g}") for share in measured.shares),
        below_zero=float(f"{measured.share_below_zero:.4g}"),
        least=_to_number(measured.minimum.min()),
        most=_to_number(measured.maximum.max()),
    )


def _to_numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(map(_to_number, values.detach().double().reshape(-1).tolist()))


def _to_number(value: float) -> float:
    """Nine digits: enough to give every float32 back."""
    return float(f"{value:.9g}")


def record_parity(parity: Parity) -> manifest.ParityRecord:
    """The record of all comparisons, whether they passed or not; an error that is not finite is `inf`."""
    by_output: dict[str, list[Comparison]] = {}
    for comparison in parity.comparisons:
        by_output.setdefault(comparison.output, []).append(comparison)
    typical_scales = measure_scales(parity.runs)
    return manifest.ParityRecord(
        criterion=CRITERION,
        outputs=tuple(
            _record_output(name, comparisons, parity, typical_scales[name])
            for name, comparisons in by_output.items()
        ),
        sets=_record_sets(parity),
        coverage=parity.coverage,
    )


def _record_output(
    name: str, comparisons: Sequence[Comparison], parity: Parity, typical_scale: float
) -> manifest.OutputRecord:
    worst = max(comparisons, key=lambda comparison: (not comparison.passed, comparison.used))
    typical = {run.name for run in parity.runs if run.typical}
    shown = [comparison for comparison in comparisons if comparison.run in typical]
    errors = _join([comparison.errors for comparison in shown])
    original = _join([comparison.original_errors for comparison in shown])
    return manifest.OutputRecord(
        name=name,
        scale=_round(worst.scale),
        original_error=_round(worst.original_error),
        file_error=_round(worst.file_error),
        allowed=_round(worst.allowed),
        tolerance=parity.tolerances.get(name),
        worst_set=worst.run,
        quantiles=_quantiles(errors),
        original_quantiles=_quantiles(original),
        typical_scale=_round(typical_scale),
        ratio=_ratio(errors, original),
        top1=_record_agreement(count_top1(parity.runs, name)),
    )


def _join(errors: Sequence[Array]) -> Array:
    return np.concatenate([*errors, np.zeros(0)])


def _quantiles(errors: Array) -> dict[str, float]:
    # By order and not between two errors, one of which may be infinite.
    values = np.quantile(errors, QUANTILES, method="higher") if errors.size else np.zeros(len(QUANTILES))
    return {f"{share:g}": _round(error) for share, error in zip(QUANTILES, values, strict=True)}


def _ratio(errors: Array, original: Array) -> float | None:
    own = np.sqrt(np.square(original).mean()) if original.size else 0.0
    return _round(np.sqrt(np.square(errors).mean()) / own) if own else None


def _record_agreement(agreement: Agreement | None) -> manifest.AgreementRecord | None:
    if agreement is None or not agreement.samples:
        return None
    share = wilson_interval(agreement.agreed, agreement.samples)
    return manifest.AgreementRecord(
        agreement.samples,
        agreement.agreed,
        agreement.original_agreed,
        float(f"{share.low:.6g}"),
        float(f"{share.high:.6g}"),
    )


def _record_sets(parity: Parity) -> tuple[manifest.SetRecord, ...]:
    counts: dict[str, Counter[str]] = {}
    used: dict[str, dict[str, float]] = {}
    for comparison in parity.comparisons:
        used.setdefault(comparison.run, {})[comparison.output] = _round(comparison.used)
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


def _round(number: float) -> float:
    return float(f"{number:.3g}")


def _record_input(value: ir.Value, inputs: Sequence[InputSpec]) -> manifest.TensorRecord:
    below = next((spec.below for spec in inputs if spec.name == value.name), None)
    return replace(_record_tensor(value), below=below)


def _record_tensor(value: ir.Value) -> manifest.TensorRecord:
    shape = value.shape if value.shape is not None else ()
    sizes = tuple(size if isinstance(size, int) else str(size.value) for size in shape)
    dtype = name_dtype(value.dtype.numpy()) if value.dtype else ""
    return manifest.TensorRecord(value.name or "", dtype, sizes)

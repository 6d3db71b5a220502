"""Writes down what the stages found, as the manifest's fields."""

from collections.abc import Sequence
from importlib.metadata import version

import onnx_ir as ir
import onnxruntime

from convert import manifest
from convert.evidence.learned import learned
from convert.evidence.measured import measured
from convert.load import Source
from convert.optimise import Optimised
from convert.parity.samples import SampleSet, most_like_data
from convert.verify import Parity

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

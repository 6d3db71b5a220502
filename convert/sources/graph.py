"""ONNX files: optimised like any other model, and verified against themselves.

The file is data and is read within bounds. Protobuf and the ONNX checker, in C++, first read it in a process
of their own. Converting runs the graph in ONNX Runtime, operators of the standard and of ONNX Runtime only; a
loop in it can take any time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import InlinePass
from torch import nn

from adaptact.text import first_line
from convert.errors import ConversionError, SourceError
from convert.manifest.decode import ManifestError
from convert.manifest.description import Description
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.sources.bounds import (
    EXPORT_AGAIN,
    STANDARD,
    build_error,
    require_bounded,
    require_small_values,
)
from convert.sources.constants import fold_constants
from convert.sources.estimator import EstimatorModule, build_estimator
from convert.sources.file_description import read_description
from convert.sources.float64_reference import EVALUATOR_ERRORS, Float64Graph
from convert.sources.foreign import FOREIGN, describe_foreign, has_learning
from convert.sources.graph_inputs import describe_inputs
from convert.sources.graph_outputs import correct_outputs, require_computed_tensors
from convert.sources.onnx_module import OnnxModule, agrees_in_float64
from convert.sources.opset import DEFAULT_OPSET, OPSETS, lower_opset
from convert.sources.probe import run_after_probe
from convert.sources.source import Source, SourceRequest, compute_digest
from convert.sources.zipmap import read_classes, remove_zipmaps

LARGEST_FILE = 2**31 - 1  # bytes, protobuf's own limit; weights beyond it are external data
OLDEST_OPSET = 7  # the oldest that ONNX's converter converts well
READING_MEMORY = 2**30  # bytes that reading may take beyond eight times the file
READING_SECONDS = 120.0
_ONE_HOT = (
    "its OneHotEncoder fails at categories that were not in the training data, as generated samples are; "
    'in Python: OneHotEncoder(handle_unknown="ignore"), fit the pipeline again, and convert it by skl2onnx'
)


def read(request: SourceRequest) -> Source:
    """The graph in an ONNX file, with the inputs that it names. Raises SourceError."""
    path = request.path
    proto, files = _read_checked(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    labels, notes = read_classes(proto), remove_zipmaps(proto)
    own_graph = proto.SerializeToString() if notes else path
    graph = _build_graph(proto, path)
    require_computed_tensors(graph, path)
    manifest = _read_manifest(metadata.get(MANIFEST_KEY))
    described = read_description(metadata, manifest)
    recorded = () if manifest is None else manifest.sizes
    inputs = describe_inputs(graph, request.inputs, path, recorded)
    model, reference = _build_module(graph, own_graph, path, inputs)
    if request.factory is not None:
        model, reference = EstimatorModule(build_estimator(request), graph), "estimator"
    return Source(
        model=model,
        inputs=inputs,
        outputs=tuple(value.name or "" for value in graph.graph.outputs),
        classes=described.classes or labels,
        preprocessing=_choose_preprocessing(described, manifest),
        digest=compute_digest(path, *files),
        kind="ONNX",
        graph=graph,
        reference=reference,
        notes=(*notes, *describe_foreign(graph), *_list_left_out(described)),
    )


def prepare(graph: ir.Model, opset: int, oldest: int = OPSETS[0]) -> ir.Model:
    """The graph with its constants folded, at its own opset, or at `opset` if that is older.

    A graph of an opset before `oldest` is converted to `opset`. Raises SourceError where ONNX's converter
    cannot do so, and ExportError where an operator has no form as old as `opset`.
    """
    own = graph.opset_imports[""]
    try:
        carried = graph.clone()
        if own < oldest:
            carried = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(graph), opset))
        folded = fold_constants(carried)
    except EVALUATOR_ERRORS as error:
        raise SourceError(
            f"the graph's operators of opset {own} cannot be carried to {opset}: {first_line(error)}",
            hint=f"export the model again at opset {DEFAULT_OPSET}",
        ) from error
    return lower_opset(folded, opset)


def _read_checked(path: Path) -> tuple[onnx.ModelProto, tuple[Path, ...]]:
    """The model in the file, and its files of external data, checked and within bounds."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise build_error(path, f"has {size} bytes, expected at most {LARGEST_FILE} besides external data")

    def read_and_check() -> tuple[onnx.ModelProto, tuple[Path, ...]]:
        model = onnx.ModelProto()
        model.ParseFromString(path.read_bytes())
        files = require_bounded(model, path)
        onnx.checker.check_model(str(path))
        require_small_values(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
        return model, files

    try:
        return run_after_probe(read_and_check, READING_MEMORY + 8 * size, READING_SECONDS)
    except (
        *(DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
        *(RuntimeError, ValueError, TypeError, OSError, MemoryError, RecursionError),
    ) as error:
        raise build_error(path, f"is damaged, or none after all: {first_line(error)}") from error


def _build_graph(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The graph with its functions inlined and its weights in memory, at a present-day IR version."""
    for imported in proto.opset_import:
        if imported.domain == STANDARD[1]:
            imported.domain = STANDARD[0]
    if all(node.domain in FOREIGN for node in proto.graph.node) and not proto.functions:
        _import_standard(proto)
    opset = next((imported.version for imported in proto.opset_import if not imported.domain), 0)
    if not OLDEST_OPSET <= opset <= OPSETS[-1]:
        raise build_error(path, f"is of opset {opset}, expected {OLDEST_OPSET} to {OPSETS[-1]}")
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
        ir.external_data.load_to_model(model)
        InlinePass()(model)
    except (*EVALUATOR_ERRORS, OSError) as error:
        raise build_error(path, f"cannot be read: {first_line(error)}") from error
    graph = model.graph
    # Before IR version 4 every weight was also an input, which a caller could replace.
    fed = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(fed)
    model.ir_version = max(model.ir_version, 8)
    return model


def _import_standard(proto: onnx.ModelProto) -> None:
    """The model itself imports the standard operators, of which it has none, where it did not."""
    if all(imported.domain for imported in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid("", DEFAULT_OPSET))


def _build_module(
    graph: ir.Model, own_graph: bytes | Path, path: Path, inputs: Sequence[InputSpec]
) -> tuple[nn.Module, str]:
    """The file's graph as a module, and the precision of its reference.

    Trees jump where a sum crosses a threshold, so what they give in float64 says nothing of the file.
    """
    names = [spec.name for spec in inputs]
    jumps = has_learning(graph)
    try:
        own = Session(own_graph, names, folder=path.parent if isinstance(own_graph, bytes) else None)
        correct_outputs(graph, own, inputs)
        has_float64 = not jumps and agrees_in_float64(graph, own, inputs)
    except ConversionError as error:
        hint = _ONE_HOT if "Unknown Category" in str(error) else EXPORT_AGAIN
        raise build_error(path, f"does not run: {error}", hint) from error
    if not has_float64:
        return OnnxModule(own, inputs, is_reference=jumps), "float32"
    return OnnxModule(own, inputs, lambda: Float64Graph(ir.to_proto(graph), names)), "float64"


def _choose_preprocessing(described: Description, manifest: Manifest | None) -> Mapping[str, Any] | None:
    """What the file describes; the manifest's own words where they are no preprocessing that is known."""
    if described.preprocessing is not None:
        return described.preprocessing.to_json()
    return None if manifest is None else manifest.preprocessing


def _list_left_out(described: Description) -> list[str]:
    left = "the names of its columns are left out: adaptact describe ... --columns names them in the new file"
    return [] if described.columns is None else [left]


def _read_manifest(text: str | None) -> Manifest | None:
    """The manifest of the file, where it has one that can be read."""
    try:
        return None if text is None else Manifest.from_json(text)
    except ManifestError:
        return None

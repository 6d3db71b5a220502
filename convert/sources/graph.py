"""ONNX files: optimised like any other model, and verified against themselves.

The file is data and is read within bounds. Protobuf and the ONNX checker, in C++, first read it in a process
of their own. Converting runs the graph in ONNX Runtime, standard operators only; a loop in it can take any
time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnx_ir as ir
import torch
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import InlinePass
from torch import Tensor, nn

from adaptact.text import first_line
from convert.errors import ConversionError, SourceError, UsageError
from convert.graph.nodes import get_attribute
from convert.manifest.decode import ManifestError
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.model_io.inputs import InputSpec, name_free_size, require_distinct
from convert.model_io.runtime import Session
from convert.model_io.samples import make_example
from convert.sources.bounds import STANDARD, build_error, require_bounded, require_small_values
from convert.sources.constants import fold_constants
from convert.sources.float64_reference import EVALUATOR_ERRORS, Float64Graph
from convert.sources.opset import DEFAULT_OPSET, OPSETS, lower_opset
from convert.sources.probe import run_after_probe
from convert.sources.source import Source, SourceRequest, compute_digest

LARGEST_FILE = 2**31 - 1  # bytes, protobuf's own limit; weights beyond it are external data
OLDEST_OPSET = 7  # the oldest that ONNX's converter converts well
READING_MEMORY = 2**30  # bytes that reading may take beyond eight times the file
READING_SECONDS = 120.0
LARGEST_FLOAT64 = 2**29  # bytes of weights, which float64 doubles and its evaluators copy
_INPUTS_HINT = "export it again: inputs of float32, called by letters and digits, as input_names=['x']"
LARGEST_DIFFERENCE = 1e-2  # of the scale: beyond, float64 computes something else than float32


class OnnxModule(nn.Module):
    """An ONNX graph behind the methods of a torch module; its weights are its own, not parameters.

    `widen` makes the graph in float64, where that is possible. It is called on demand, since the result takes
    several times the memory of the weights, and a copy that is no longer needed frees it.
    """

    def __init__(
        self, own: Session, inputs: Sequence[InputSpec], widen: Callable[[], Float64Graph] | None = None
    ) -> None:
        super().__init__()
        self._own, self._inputs, self._widen = own, tuple(inputs), widen
        self._wide: Float64Graph | None = None
        self.eval()

    def forward(self, *arguments: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of arguments in the order of the inputs, rounded to the graph's own types."""
        arrays = [
            array if self._wide and array.dtype == np.float64 else array.astype(spec.dtype, copy=False)
            for spec, array in zip(self._inputs, (argument.numpy() for argument in arguments), strict=True)
        ]
        values = (self._wide or self._own).run(arrays)
        return {name: torch.from_numpy(value) for name, value in values.items()}

    def double(self) -> Self:
        """The graph in float64, where that agrees with what it computes."""
        if self._wide is None and self._widen is not None:
            self._wide = self._widen()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModule":
        copied = OnnxModule(self._own, self._inputs, self._widen)
        copied._wide = self._wide
        return copied


def read(request: SourceRequest) -> Source:
    """The graph in an ONNX file, with the inputs that it names. Raises SourceError."""
    path = request.path
    proto, files = _read_checked(path)
    manifest_text = {entry.key: entry.value for entry in proto.metadata_props}.get(MANIFEST_KEY)
    graph = _build_graph(proto, path)
    shapes = [tuple(value.shape) if value.shape is not None else () for value in graph.graph.inputs]
    inputs = require_distinct([_describe_input(value, request.inputs, path) for value in graph.graph.inputs])
    _rename_sizes(graph, shapes, inputs)
    _require_known(request.inputs, inputs)
    model, reference = _build_module(graph, path, inputs)
    classes, preprocessing = _read_manifest(manifest_text)
    return Source(
        model=model,
        inputs=inputs,
        outputs=tuple(value.name or "" for value in graph.graph.outputs),
        classes=classes,
        preprocessing=preprocessing,
        digest=compute_digest(path, *files),
        kind="ONNX",
        graph=graph,
        reference=reference,
    )


def prepare(graph: ir.Model, opset: int) -> ir.Model:
    """The graph with its constants folded, at its own opset, or at `opset` if that is older.

    A graph older than all of OPSETS is converted to `opset`. Raises SourceError where ONNX's converter cannot
    do so, and ExportError where an operator has no form as old as `opset`.
    """
    own = graph.opset_imports[""]
    try:
        carried = graph.clone()
        if own not in OPSETS:
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


def _describe_input(value: ir.Value, described: Sequence[InputSpec], path: Path) -> InputSpec:
    """The input as the graph describes it, with the user's sizes where the graph leaves them free."""
    name = value.name or ""
    user_spec = next((spec for spec in described if spec.name == name), None)
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise build_error(path, f"takes `{name}`, which is not a tensor")
    if value.dtype is None or (value.shape is None and user_spec is None):
        raise build_error(
            path,
            f"does not say the type and sizes of its input `{name}`",
            f"say them: --input '{name}:float32[N,3]'",
        )
    own = tuple(value.shape) if value.shape is not None else user_spec.shape if user_spec is not None else ()
    if user_spec is not None and len(user_spec.shape) != len(own):
        raise UsageError(f"input `{name}` has {len(own)} axes in `{path}`, not {user_spec.shape_text}")
    shape = tuple(
        _choose_size(name, axis, size, user_spec.shape[axis] if user_spec is not None else None)
        for axis, size in enumerate(own)
    )
    try:
        spec = InputSpec(
            name, _get_dtype_name(value), shape, user_spec.below if user_spec is not None else None
        )
    except UsageError as error:
        raise build_error(path, f"cannot be fed: {error}", _INPUTS_HINT) from error
    value.shape = ir.Shape(shape)
    return spec if spec.below is not None else replace(spec, below=_find_shortest_table(value))


def _rename_sizes(graph: ir.Model, shapes: Sequence[tuple[object, ...]], inputs: Sequence[InputSpec]) -> None:
    """The new name or number of an input's free size replaces the old name everywhere in the graph."""
    sizes: dict[str, int | str] = {}
    for before, spec in zip(shapes, inputs, strict=True):
        for old, new in zip(before, spec.shape, strict=False):
            name = getattr(old, "value", None)
            if name is not None:
                sizes.setdefault(str(name), new)
    values = [*graph.graph.outputs, *(value for node in graph.graph for value in node.outputs)]
    for value in dict.fromkeys(values):
        if value.shape is not None:
            value.shape = ir.Shape([sizes.get(str(getattr(size, "value", "")), size) for size in value.shape])


def _choose_size(name: str, axis: int, own: object, user_size: int | str | None) -> int | str:
    if isinstance(own, int):
        if user_size is not None and user_size != own:
            raise UsageError(f"input `{name}` has size {own} at axis {axis} in the file, not `{user_size}`")
        return own
    if user_size is not None:
        return user_size
    size_name = str(getattr(own, "value", None) or "")
    return size_name if size_name.isidentifier() and size_name.isascii() else name_free_size(name, axis)


def _get_dtype_name(value: ir.Value) -> str:
    return value.dtype.numpy().name if value.dtype is not None else ""


def _find_shortest_table(value: ir.Value) -> int | None:
    """The length of the shortest table of weights that the input indexes, None without one."""
    lengths = [
        table.shape.numpy()[0]
        for use in value.uses()
        if use.node.op_type == "Gather" and use.idx == 1 and get_attribute(use.node, "axis", 0) == 0
        if use.node.inputs[0] is not None and (table := use.node.inputs[0].const_value) is not None
    ]
    return min(lengths, default=None)


def _require_known(described: Sequence[InputSpec], inputs: Sequence[InputSpec]) -> None:
    own = {spec.name: spec.dtype for spec in inputs}
    for spec in described:
        if own.get(spec.name) != spec.dtype:
            raise UsageError(f"input `{spec.name}:{spec.dtype}` is not one of the graph's: {own}")


def _build_module(graph: ir.Model, path: Path, inputs: Sequence[InputSpec]) -> tuple[OnnxModule, str]:
    """The file's graph as a module, and the precision of its reference."""
    names = [spec.name for spec in inputs]
    try:
        own = Session(path, names)
        has_float64 = _agrees_in_float64(graph, own, inputs)
    except ConversionError as error:
        raise build_error(path, f"does not run: {error}") from error
    if not has_float64:
        return OnnxModule(own, inputs), "float32"
    return OnnxModule(own, inputs, lambda: Float64Graph(ir.to_proto(graph), names)), "float64"


def _agrees_in_float64(graph: ir.Model, own: Session, inputs: Sequence[InputSpec]) -> bool:
    """Whether the graph can be run in float64, and then returns about the same as in its own types."""
    weights = sum(
        value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value
    )
    if weights > LARGEST_FLOAT64:
        return False
    arrays = make_example(inputs)
    expected = own.run(arrays)
    try:
        wide = Float64Graph(ir.to_proto(graph), [spec.name for spec in inputs])
        outputs = wide.run(
            [array.astype(np.float64) if array.dtype == np.float32 else array for array in arrays]
        )
    except (*EVALUATOR_ERRORS, ConversionError):
        return False
    return all(_is_near(outputs[name], value) for name, value in expected.items())


def _is_near(wide: Any, own: Any) -> bool:
    if wide.shape != own.shape:
        return False
    if own.dtype.kind != "f":
        return bool(wide.dtype == own.dtype and (wide == own).mean() > 0.5) if own.size else True
    finite = np.isfinite(own)
    scale = float(np.abs(np.where(finite, own, 0)).max(initial=0.0))
    distance = np.abs(np.where(finite, wide, 0) - np.where(finite, own, 0)).max(initial=0.0)
    return bool(distance <= LARGEST_DIFFERENCE * scale)


def _read_manifest(text: str | None) -> tuple[tuple[str, ...] | None, Mapping[str, Any] | None]:
    """The classes and preprocessing in the manifest of the file, where it has one."""
    try:
        manifest = Manifest.from_json(text) if text is not None else None
    except ManifestError:
        manifest = None
    return (None, None) if manifest is None else (manifest.classes, manifest.preprocessing)

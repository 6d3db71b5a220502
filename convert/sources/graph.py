"""ONNX files: optimised as any other model, and verified against themselves.

The file is data, read within bounds: by protobuf and the ONNX checker, in C++, in a process of its own first.
Converting runs the graph in ONNX Runtime, standard operators only; a loop in it can take any time.
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

from convert.errors import ConversionError, SourceError, UsageError
from convert.graph.nodes import attribute
from convert.manifest.decode import ManifestError
from convert.manifest.manifest import KEY, Manifest
from convert.model_io.inputs import InputSpec, distinct, free_name
from convert.model_io.runtime import Session
from convert.model_io.samples import example
from convert.sources.bounds import STANDARD, refused, require_bounded, require_small_values
from convert.sources.constants import fold_constants
from convert.sources.float64_reference import EVALUATING, Wide
from convert.sources.opset import DEFAULT_OPSET, OPSETS, carried_down
from convert.sources.probe import first_elsewhere
from convert.sources.source import Request, Source, digest_of

LARGEST_FILE = 2**31 - 1  # bytes, protobuf's own limit; weights beyond it are external data
OLDEST_OPSET = 7  # what ONNX's converter raises well
MEMORY = 2**30  # bytes that reading may take beyond eight times the file
SECONDS = 120.0
LARGEST_WIDE = 2**29  # bytes of weights, which float64 doubles and its evaluators copy
_FEEDABLE = "export it again: inputs of float32, called by letters and digits, as input_names=['x']"
FAR = 1e-2  # of the scale: where float64 is as far as this from float32, it computes something else


class Graph(nn.Module):
    """An ONNX graph behind the methods of a torch module; its weights are its own, not parameters.

    `widen` makes it in float64, where it can be: when it is asked for, since that takes several times the
    weights, and so that a copy which is no longer needed gives them back.
    """

    def __init__(
        self, own: Session, inputs: Sequence[InputSpec], widen: Callable[[], Wide] | None = None
    ) -> None:
        super().__init__()
        self._own, self._inputs, self._widen = own, tuple(inputs), widen
        self._wide: Wide | None = None
        self.eval()

    def forward(self, *arguments: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of arguments in the order of the inputs, rounded to the graph's own types."""
        arrays = [
            array if self._wide and array.dtype == np.float64 else array.astype(spec.dtype, copy=False)
            for spec, array in zip(self._inputs, (one.numpy() for one in arguments), strict=True)
        ]
        values = (self._wide or self._own).run(arrays)
        return {name: torch.from_numpy(value) for name, value in values.items()}

    def double(self) -> Self:
        """The graph in float64, where that is known to be what it computes."""
        if self._wide is None and self._widen is not None:
            self._wide = self._widen()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Graph":
        copied = Graph(self._own, self._inputs, self._widen)
        copied._wide = self._wide
        return copied


def read(request: Request) -> Source:
    """The graph in an ONNX file, with the inputs that it names. Raises SourceError."""
    path = request.path
    proto, files = _bounded(path)
    carried = {entry.key: entry.value for entry in proto.metadata_props}.get(KEY)
    graph = _graph(proto, path)
    written = [tuple(value.shape) if value.shape is not None else () for value in graph.graph.inputs]
    inputs = distinct([_input(value, request.inputs, path) for value in graph.graph.inputs])
    _rename_sizes(graph, written, inputs)
    _require_known(request.inputs, inputs)
    model, reference = _model(graph, path, inputs)
    classes, preprocessing = _told(carried)
    return Source(
        model=model,
        inputs=inputs,
        outputs=tuple(value.name or "" for value in graph.graph.outputs),
        classes=classes,
        preprocessing=preprocessing,
        digest=digest_of(path, *files),
        kind="ONNX",
        graph=graph,
        reference=reference,
    )


def ready(graph: ir.Model, opset: int) -> ir.Model:
    """The graph as the rules read it: its constants folded, at its own opset, or at `opset` if that is older.

    A graph older than all of OPSETS is carried to `opset`. Raises SourceError where ONNX's converter cannot
    carry it there, and ExportError where an operator has no form as old as `opset`.
    """
    own = graph.opset_imports[""]
    try:
        carried = graph.clone()
        if own not in OPSETS:
            carried = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(graph), opset))
        folded = fold_constants(carried)
    except EVALUATING as error:
        raise SourceError(
            f"the graph's operators of opset {own} cannot be carried to {opset}: {_first_line(error)}",
            hint=f"export the model again at opset {DEFAULT_OPSET}",
        ) from error
    return carried_down(folded, opset)


def _bounded(path: Path) -> tuple[onnx.ModelProto, tuple[Path, ...]]:
    """The model that the file describes, and its files of external data: read, checked and within bounds."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise refused(path, f"has {size} bytes, expected at most {LARGEST_FILE} besides external data")

    def checked() -> tuple[onnx.ModelProto, tuple[Path, ...]]:
        model = onnx.ModelProto()
        model.ParseFromString(path.read_bytes())
        files = require_bounded(model, path)
        onnx.checker.check_model(str(path))
        require_small_values(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
        return model, files

    try:
        return first_elsewhere(checked, MEMORY + 8 * size, SECONDS)
    except (
        *(DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
        *(RuntimeError, ValueError, TypeError, OSError, MemoryError, RecursionError),
    ) as error:
        raise refused(path, f"is damaged, or none after all: {_first_line(error)}") from error


def _graph(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The graph with its functions written out and its weights in memory, at an IR version of today."""
    for one in proto.opset_import:
        if one.domain == STANDARD[1]:
            one.domain = STANDARD[0]
    opset = next((one.version for one in proto.opset_import if not one.domain), 0)
    if not OLDEST_OPSET <= opset <= OPSETS[-1]:
        raise refused(path, f"is of opset {opset}, expected {OLDEST_OPSET} to {OPSETS[-1]}")
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
        ir.external_data.load_to_model(model)
        InlinePass()(model)
    except (*EVALUATING, OSError) as error:
        raise refused(path, f"cannot be read: {_first_line(error)}") from error
    graph = model.graph
    # Before IR version 4 every weight was an input too, one that a caller could replace.
    fed = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.inputs.clear()
    graph.inputs.extend(fed)
    model.ir_version = max(model.ir_version, 8)
    return model


def _input(value: ir.Value, given: Sequence[InputSpec], path: Path) -> InputSpec:
    """The input as the graph describes it, with the sizes that it leaves open as the user says."""
    name = value.name or ""
    said = next((spec for spec in given if spec.name == name), None)
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        raise refused(path, f"takes `{name}`, which is not a tensor")
    if value.dtype is None or (value.shape is None and said is None):
        raise refused(
            path,
            f"does not say the type and sizes of its input `{name}`",
            f"say them: --input '{name}:float32[N,3]'",
        )
    own = tuple(value.shape) if value.shape is not None else said.shape if said is not None else ()
    if said is not None and len(said.shape) != len(own):
        raise UsageError(f"input `{name}` has {len(own)} axes in `{path}`, not {said.written}")
    shape = tuple(
        _size(name, axis, size, said.shape[axis] if said is not None else None)
        for axis, size in enumerate(own)
    )
    try:
        spec = InputSpec(name, _dtype(value), shape, said.below if said is not None else None)
    except UsageError as error:
        raise refused(path, f"cannot be fed: {error}", _FEEDABLE) from error
    value.shape = ir.Shape(shape)
    return spec if spec.below is not None else replace(spec, below=_table(value))


def _rename_sizes(
    graph: ir.Model, written: Sequence[tuple[object, ...]], inputs: Sequence[InputSpec]
) -> None:
    """What an input's free size is called now, or was fixed to, it is called everywhere in the graph."""
    sizes: dict[str, int | str] = {}
    for before, spec in zip(written, inputs, strict=True):
        for old, new in zip(before, spec.shape, strict=False):
            name = getattr(old, "value", None)
            if name is not None:
                sizes.setdefault(str(name), new)
    values = [*graph.graph.outputs, *(value for node in graph.graph for value in node.outputs)]
    for value in dict.fromkeys(values):
        if value.shape is not None:
            value.shape = ir.Shape([sizes.get(str(getattr(one, "value", "")), one) for one in value.shape])


def _size(name: str, axis: int, own: object, said: int | str | None) -> int | str:
    if isinstance(own, int):
        if said is not None and said != own:
            raise UsageError(f"input `{name}` has size {own} at axis {axis} in the file, not `{said}`")
        return own
    if said is not None:
        return said
    written = str(getattr(own, "value", None) or "")
    return written if written.isidentifier() and written.isascii() else free_name(name, axis)


def _dtype(value: ir.Value) -> str:
    return value.dtype.numpy().name if value.dtype is not None else ""


def _table(value: ir.Value) -> int | None:
    """The length of the shortest table of weights that the input looks rows up in, None without one."""
    lengths = [
        table.shape.numpy()[0]
        for use in value.uses()
        if use.node.op_type == "Gather" and use.idx == 1 and attribute(use.node, "axis", 0) == 0
        if use.node.inputs[0] is not None and (table := use.node.inputs[0].const_value) is not None
    ]
    return min(lengths, default=None)


def _require_known(given: Sequence[InputSpec], inputs: Sequence[InputSpec]) -> None:
    own = {spec.name: spec.dtype for spec in inputs}
    for spec in given:
        if own.get(spec.name) != spec.dtype:
            raise UsageError(f"input `{spec.name}:{spec.dtype}` is not one of the graph's: {own}")


def _model(graph: ir.Model, path: Path, inputs: Sequence[InputSpec]) -> tuple[Graph, str]:
    """The file's graph to be run, and the precision of its reference."""
    names = [spec.name for spec in inputs]
    try:
        own = Session(path, names)
        wide = _is_wide(graph, own, inputs)
    except ConversionError as error:
        raise refused(path, f"does not run: {error}") from error
    if not wide:
        return Graph(own, inputs), "float32"
    return Graph(own, inputs, lambda: Wide(ir.to_proto(graph), names)), "float64"


def _is_wide(graph: ir.Model, own: Session, inputs: Sequence[InputSpec]) -> bool:
    """Whether the graph can be run in float64, and then gives what the graph itself gives, about."""
    weights = sum(one.const_value.nbytes for one in graph.graph.initializers.values() if one.const_value)
    if weights > LARGEST_WIDE:
        return False
    arrays = example(inputs)
    expected = own.run(arrays)
    try:
        wide = Wide(ir.to_proto(graph), [spec.name for spec in inputs])
        found = wide.run(
            [array.astype(np.float64) if array.dtype == np.float32 else array for array in arrays]
        )
    except (*EVALUATING, ConversionError):
        return False
    return all(_near(found[name], value) for name, value in expected.items())


def _near(wide: Any, own: Any) -> bool:
    if wide.shape != own.shape:
        return False
    if own.dtype.kind != "f":
        return bool(wide.dtype == own.dtype and (wide == own).mean() > 0.5) if own.size else True
    finite = np.isfinite(own)
    scale = float(np.abs(np.where(finite, own, 0)).max(initial=0.0))
    distance = np.abs(np.where(finite, wide, 0) - np.where(finite, own, 0)).max(initial=0.0)
    return bool(distance <= FAR * scale)


def _told(text: str | None) -> tuple[tuple[str, ...] | None, Mapping[str, Any] | None]:
    """The classes and preprocessing in a manifest that the file carries already."""
    try:
        manifest = Manifest.from_json(text) if text is not None else None
    except ManifestError:
        manifest = None
    return (None, None) if manifest is None else (manifest.classes, manifest.preprocessing)


def _first_line(error: BaseException) -> str:
    return next(
        (line.strip()[:300] for line in str(error).splitlines() if line.strip()), type(error).__name__
    )

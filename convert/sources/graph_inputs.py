"""The inputs of an ONNX graph: as it describes them, with the user's sizes where it leaves them free."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from convert.errors import UsageError
from convert.graph.nodes import get_attribute
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.array import TEXT, name_dtype
from convert.model_io.inputs import InputSpec, add_size_bounds, name_free_size, require_distinct
from convert.sources.bounds import build_error
from convert.sources.texts import list_texts
from convert.sources.thresholds import find_thresholds

_INPUTS_HINT = "export it again: inputs of float32, called by letters and digits, as input_names=['x']"


def describe_inputs(
    graph: ir.Model, described: Sequence[InputSpec], path: Path, recorded: Sequence[SizeBounds] = ()
) -> tuple[InputSpec, ...]:
    """The graph's inputs; the sizes that the user named or fixed are so in the whole graph.

    Their sizes have the bounds that the user gives, and those `recorded` in the file.

    Raises SourceError where an input cannot be fed, and UsageError where the user describes another.
    """
    shapes = [tuple(value.shape) if value.shape is not None else () for value in graph.graph.inputs]
    inputs = require_distinct([_describe_input(value, described, path) for value in graph.graph.inputs])
    _rename_sizes(graph, shapes, inputs)
    _require_known(described, inputs)
    given = [bounds for spec in described for bounds in spec.size_bounds]
    inputs = add_size_bounds(inputs, [*given, *_rename_bounds(shapes, inputs, recorded)])
    levels, texts = find_thresholds(graph), list_texts(graph)
    turns = {name: (place, len(levels)) for place, name in enumerate(levels)}
    return tuple(
        replace(spec, levels=levels[spec.name], turn=turns[spec.name])
        if spec.name in levels
        else replace(spec, texts=texts if spec.dtype == TEXT else spec.texts)
        for spec in inputs
    )


def _rename_bounds(
    shapes: Sequence[tuple[object, ...]], inputs: Sequence[InputSpec], recorded: Sequence[SizeBounds]
) -> Iterator[SizeBounds]:
    """The recorded bounds under the sizes' new names. Raises UsageError for a number that they leave out."""
    by_name = {bounds.name: bounds for bounds in recorded}
    for before, spec in zip(shapes, inputs, strict=True):
        for axis, (old, new) in enumerate(zip(before, spec.shape, strict=False)):
            bounds = by_name.get(str(getattr(old, "value", "")))
            if bounds is not None and isinstance(new, str):
                yield replace(bounds, name=new)
            elif bounds is not None and isinstance(new, int) and not bounds.allow(new):
                raise UsageError(
                    f"input `{spec.name}` has size {new} at axis {axis}, and the file takes `{bounds.text}`"
                )


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
    return name_dtype(value.dtype.numpy()) if value.dtype is not None else ""


def _find_shortest_table(value: ir.Value) -> int | None:
    """The length of the shortest table of weights that the input indexes, None without one.

    One number, or none, is no table; ONNX Runtime refuses it.
    """
    sizes = [
        table.shape.numpy()
        for use in value.uses()
        if use.node.op_type == "Gather" and use.idx == 1 and get_attribute(use.node, "axis", 0) == 0
        if use.node.inputs[0] is not None and (table := use.node.inputs[0].const_value) is not None
    ]
    return min((size[0] for size in sizes if size and size[0]), default=None)


def _require_known(described: Sequence[InputSpec], inputs: Sequence[InputSpec]) -> None:
    own = {spec.name: spec.dtype for spec in inputs}
    for spec in described:
        if own.get(spec.name) != spec.dtype:
            raise UsageError(f"input `{spec.name}:{spec.dtype}` is not one of the graph's: {own}")

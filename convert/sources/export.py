"""The folded model as an ONNX graph of standard operators, valid for every size that was left free."""

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import InlinePass
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.export import ExportedProgram

from convert.errors import ExportError, UsageError
from convert.graph.nodes import layer_of
from convert.model_io.forward import forward, tensors
from convert.model_io.inputs import InputSpec
from convert.model_io.outputs import named_outputs
from convert.model_io.samples import example
from convert.sources.graph import ready
from convert.sources.opset import DEFAULT_OPSET, OLDEST_WRITTEN, OPSETS, carried_down
from convert.sources.source import Source
from convert.sources.torch_output import quiet_torch
from convert.sources.torchscript import Scripted, written


def require_every_size(program: ExportedProgram, model: nn.Module, inputs: Sequence[InputSpec]) -> None:
    """Raises ExportError where the program is bound to a range of a free size, and the model is not."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    for spec, name in zip(inputs, program.graph_signature.user_inputs, strict=True):
        for axis, (wanted, size) in enumerate(zip(spec.shape, values[str(name)].shape, strict=True)):
            if not isinstance(wanted, str) or isinstance(size, int):
                continue
            for limit, beyond in _limits(program.range_constraints.get(size.node.expr)):
                if _takes(model, inputs, {wanted: beyond}):
                    raise ExportError(
                        f"the model branches on size `{wanted}` (axis {axis} of input `{spec.name}`): its "
                        f"graph would hold {limit} only, and it takes {beyond} too",
                        hint="give the size as a number in --input, or rewrite the code that asks for "
                        f"shape[{axis}] so that it does the same for every size",
                    )


def _limits(found: Any) -> Iterator[tuple[str, int]]:
    """Where the range ends, in words, and the first size beyond, for each end that it has."""
    if found is None:
        return
    if found.lower > 1:
        yield f"from {found.lower}", int(found.lower) - 1
    if found.upper.is_Integer:  # and not infinite
        yield f"up to {found.upper}", int(found.upper) + 1


def _takes(model: nn.Module, inputs: Sequence[InputSpec], sizes: Mapping[str, int]) -> bool:
    """Whether the model runs at these sizes; nothing is computed, so that none is too large to try."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            model(*(torch.empty(spec.sized(sizes), dtype=getattr(torch, spec.dtype)) for spec in inputs))
    except Exception:  # noqa: BLE001  # a stranger's code may raise anything
        return False
    return True


def require_free_sizes(model: ir.Model, inputs: Sequence[InputSpec]) -> None:
    """Raises ExportError where the graph has a number in place of a free size."""
    for spec, value in zip(inputs, model.graph.inputs, strict=True):
        shape = value.shape or ()
        for axis, (wanted, got) in enumerate(zip(spec.shape, shape, strict=True)):
            if isinstance(wanted, str) and isinstance(got, int):
                raise ExportError(
                    f"the model fixes size `{wanted}` (axis {axis} of input `{spec.name}`) to {got}",
                    hint=f"give the size as a number, or rewrite the code that reads shape[{axis}] as one",
                )


_INPUTS = "check the inputs' order, types and shapes, and how large numbers may be: 'ids:int64[N,T]<50'"


def export(
    model: nn.Module,
    inputs: Sequence[InputSpec],
    outputs: Sequence[str] | None = None,
    opset: int = DEFAULT_OPSET,
) -> ir.Model:
    """The graph that computes what `model` computes, its inputs and outputs named, its free sizes free.

    Raises ExportError where the model cannot be run on inputs of this description, or not be written.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} is not offered, expected {OPSETS[0]} to {OPSETS[-1]}")
    arguments = tensors(example(inputs))
    names = output_names(model, inputs, outputs)
    with _flattened(model, names):
        if isinstance(model, Scripted):
            graph = _scripted(model, arguments, inputs, names, opset)
        else:
            graph = _traced(model, arguments, inputs, names, opset)
    require_free_sizes(graph, inputs)
    _require_standard_operators(graph)
    _require_types(graph)
    return carried_down(graph, opset)


def output_names(
    model: nn.Module, inputs: Sequence[InputSpec], outputs: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The names of what the model returns, those given where there are any.

    Raises ExportError where the model cannot be run on inputs of this description, UsageError where the names
    are not those of so many outputs, or one of them is an input's.
    """
    given = ", ".join(f"{spec.name}:{spec.dtype}{spec.written}" for spec in inputs)
    result = forward(model, example(inputs), _INPUTS, given)
    names = tuple(named_outputs(result, outputs))
    clash = next((name for name in names if name in {spec.name for spec in inputs}), None)
    if clash is not None:
        raise UsageError(f"`{clash}` names both an input and an output")
    return names


@contextlib.contextmanager
def _flattened(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Within, the model returns a tuple of tensors: torch does not see through a stranger's dataclass."""

    def flat(module: nn.Module, given: object, result: object) -> object:
        return result if isinstance(result, torch.Tensor) else tuple(named_outputs(result, names).values())

    handle = model.register_forward_hook(flat)
    try:
        yield
    finally:
        handle.remove()


def _scripted(
    model: Scripted,
    arguments: tuple[torch.Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: tuple[str, ...],
    opset: int,
) -> ir.Model:
    try:
        with quiet_torch():
            return written(model, arguments, inputs, outputs, opset)
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise ExportError(
            f"torch cannot write the TorchScript as ONNX: {_first_line(error)}",
            hint="save the module itself with `adaptive_act.save`: torch has a newer exporter for it",
        ) from error


def _traced(
    model: nn.Module,
    arguments: tuple[torch.Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: tuple[str, ...],
    opset: int,
) -> ir.Model:
    free = [
        {axis: size for axis, size in enumerate(spec.shape) if isinstance(size, str)} or None
        for spec in inputs
    ]
    try:
        with quiet_torch():
            program = torch.onnx.export(
                model,
                arguments,
                dynamo=True,
                verbose=False,
                input_names=[spec.name for spec in inputs],
                output_names=outputs,
                dynamic_shapes=_by_parameter(model, free) if any(free) else None,
                opset_version=max(opset, OLDEST_WRITTEN),
            )
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError) as error:
        said = _first_line(_origin(error))
        raise ExportError(f"torch cannot write the model as ONNX: {said}", _advice(said)) from error
    if program is None:
        raise ExportError("torch wrote no ONNX graph")
    if program.exported_program is not None:
        require_every_size(program.exported_program, model, inputs)
    return program.model


def _by_parameter(model: nn.Module, free: Sequence[object]) -> tuple[object, ...]:
    """One entry a parameter of `forward`; what its `*parameter` takes is one entry."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    single = next(
        (place for place, one in enumerate(parameters) if one.kind is inspect.Parameter.VAR_POSITIONAL),
        len(free),
    )
    rest = (tuple(free[single:]),) if len(free) > single else ()
    return (*free[:single], *rest)


def _origin(error: BaseException) -> BaseException:
    """The error that the others were raised from: the one that names the operator or the constraint."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__


def _advice(said: str) -> str:
    if "data-dependent" in said:
        return (
            "the code branches on numbers that it computes: choose by `torch.where(condition, a, b)`, which "
            "computes both, or by `torch.cond`"
        )
    return "rewrite what is named here with operators that torch.onnx.export knows, and try again"


def _require_types(model: ir.Model) -> None:
    """Raises ExportError where the graph computes in a type that ONNX Runtime has hardly an operator for."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.dtype is ir.DataType.BFLOAT16:
                raise ExportError(
                    f"the model computes in bfloat16 at `{layer_of(node)}` ({node.op_type}), for which ONNX "
                    "Runtime has hardly an operator; expected float32",
                    hint="save the model after `model.float()`; `--precision fp16` rounds the file again",
                )


def _require_standard_operators(model: ir.Model) -> None:
    InlinePass()(model)
    foreign = sorted({f"{node.domain}::{node.op_type}" for node in model.graph.all_nodes() if node.domain})
    if foreign:
        raise ExportError(f"the model needs operators outside the ONNX standard: {', '.join(foreign[:5])}")


def graph_of(source: Source, folded: nn.Module, opset: int) -> ir.Model:
    """The graph that the file holds already, or that torch writes of the folded model."""
    if source.graph is not None:
        return ready(source.graph, opset)
    return export(folded, source.inputs, source.outputs, opset)

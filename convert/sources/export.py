"""The folded model as an ONNX graph of standard operators, valid for every size that was left free."""

import contextlib
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir
import torch
from onnx_ir.passes.common import InlinePass
from torch import nn

from adaptact.text import first_line
from convert.errors import ExportError, UsageError
from convert.graph.nodes import get_layer_name
from convert.model_io.forward import run_forward, to_tensors
from convert.model_io.inputs import InputSpec
from convert.model_io.other_sizes import OtherSizes
from convert.model_io.outputs import name_outputs
from convert.model_io.samples import make_example
from convert.sources.constants import fold_constants
from convert.sources.graph import prepare
from convert.sources.opset import DEFAULT_OPSET, OLDEST_WRITTEN, OPSETS, lower_opset
from convert.sources.padding import clear_padding
from convert.sources.recurrent import find_kernels_anew
from convert.sources.size_conditions import read_conditions
from convert.sources.source import Source
from convert.sources.spectra import widen_transforms
from convert.sources.torch_output import silence_torch
from convert.sources.torchlib import skip_parsing
from convert.sources.torchscript import ScriptedModule, write_graph
from convert.sources.translations import list_translations

_INPUTS_HINT = "check the inputs' order, types and shapes, and how large numbers may be: 'ids:int64[N,T]<50'"
_LONGEST_REASON = 500  # characters
# What torch's exporters raise on a model that they cannot write.
_EXPORTER_ERRORS = (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """A graph, and the sizes at which it may not be right."""

    model: ir.Model
    doubtful_sizes: tuple[OtherSizes, ...] = ()


def build_graph(source: Source, folded: nn.Module, opset: int, oldest: int = OPSETS[0]) -> ExportedGraph:
    """The graph that the file holds, else the one that torch writes of the folded model.

    `oldest` is the first opset that will do.
    """
    if source.graph is not None:
        return ExportedGraph(prepare(source.graph, opset, oldest))
    return export(folded, source.inputs, source.outputs, opset)


def export(
    model: nn.Module,
    inputs: Sequence[InputSpec],
    outputs: Sequence[str] | None = None,
    opset: int = DEFAULT_OPSET,
) -> ExportedGraph:
    """The graph that computes what `model` computes, with named inputs and outputs and free sizes left free.

    torch follows one branch of code that asks for sizes; those that take another are doubtful. Raises
    ExportError where the model cannot be run on inputs of this description, or not be written.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} is not offered, expected {OPSETS[0]} to {OPSETS[-1]}")
    arguments = to_tensors(make_example(inputs))
    names = list_output_names(model, inputs, outputs)
    with _flatten_outputs(model, names):
        if isinstance(model, ScriptedModule):
            exported = ExportedGraph(_export_script(model, arguments, inputs, names, opset))
        else:
            exported = _export_module(model, arguments, inputs, names, opset)
    for value, spec in zip(exported.model.graph.inputs, inputs, strict=True):
        value.name = spec.name  # torch renames an input that is returned as it is
    require_free_sizes(exported.model, inputs)
    _require_standard_operators(exported.model)
    _require_types(exported.model)
    widen_transforms(exported.model)
    return replace(exported, model=lower_opset(exported.model, opset))


def list_output_names(
    model: nn.Module, inputs: Sequence[InputSpec], outputs: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The names of the model's outputs; `outputs` where given.

    Raises ExportError where the model cannot be run on inputs of this description, UsageError where the
    number of names is wrong, or one is an input's.
    """
    description = ", ".join(f"{spec.name}:{spec.dtype}{spec.shape_text}" for spec in inputs)
    result = run_forward(model, make_example(inputs), _INPUTS_HINT, description)
    names = tuple(name_outputs(result, outputs))
    clash = next((name for name in names if name in {spec.name for spec in inputs}), None)
    if clash is not None:
        raise UsageError(f"`{clash}` names both an input and an output")
    return names


def require_free_sizes(model: ir.Model, inputs: Sequence[InputSpec]) -> None:
    """Raises ExportError where the graph has a number for a free size."""
    for spec, value in zip(inputs, model.graph.inputs, strict=True):
        shape = value.shape or ()
        for axis, (wanted, got) in enumerate(zip(spec.shape, shape, strict=True)):
            if isinstance(wanted, str) and isinstance(got, int):
                raise ExportError(
                    f"the model fixes size `{wanted}` (axis {axis} of input `{spec.name}`) to {got}",
                    hint=f"give the size as a number, or rewrite the code that reads shape[{axis}] as one",
                )


@contextlib.contextmanager
def _flatten_outputs(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Within the block, the model returns a tuple of tensors, none of them twice.

    torch does not read foreign dataclasses, and names one output where a tensor has two.
    """

    def flatten(module: nn.Module, arguments: object, result: object) -> object:
        if isinstance(result, torch.Tensor):
            return result
        tensors = list(name_outputs(result, names).values())
        seen = [any(tensor is other for other in tensors[:place]) for place, tensor in enumerate(tensors)]
        return tuple(tensor.clone() if again else tensor for tensor, again in zip(tensors, seen, strict=True))

    handle = model.register_forward_hook(flatten)
    try:
        yield
    finally:
        handle.remove()


def _export_script(
    model: ScriptedModule,
    arguments: tuple[torch.Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: tuple[str, ...],
    opset: int,
) -> ir.Model:
    try:
        with silence_torch():
            return write_graph(model, arguments, inputs, outputs, opset)
    except _EXPORTER_ERRORS as error:
        raise ExportError(
            f"torch cannot write the TorchScript as ONNX: {_describe(error)}",
            hint="save the module itself with `adaptive_act.save`: torch has a newer exporter for it",
        ) from error


def _export_module(
    model: nn.Module,
    arguments: tuple[torch.Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: tuple[str, ...],
    opset: int,
) -> ExportedGraph:
    free = [
        {axis: size for axis, size in enumerate(spec.shape) if isinstance(size, str)} or None
        for spec in inputs
    ]
    try:
        with silence_torch(), skip_parsing(), find_kernels_anew(), clear_padding(model):
            program = torch.onnx.export(
                model,
                arguments,
                dynamo=True,
                verbose=False,
                optimize=False,  # not exact, see `fold_constants`
                input_names=[spec.name for spec in inputs],
                output_names=outputs,
                dynamic_shapes=_group_by_parameter(model, free) if any(free) else None,
                opset_version=max(opset, OLDEST_WRITTEN),
                custom_translation_table=list_translations(opset),
            )
    except _EXPORTER_ERRORS as error:
        reason = _describe(_find_root_cause(error))
        raise ExportError(f"torch cannot write the model as ONNX: {reason}", _suggest_fix(reason)) from error
    if program is None:
        raise ExportError("torch wrote no ONNX graph")
    if program.exported_program is None:
        return ExportedGraph(fold_constants(program.model, trusted=True))
    conditions = read_conditions(program.exported_program, inputs)
    forget_numbers(program.model, conditions.list_fixed().values())
    doubtful = conditions.list_doubtful()
    return ExportedGraph(fold_constants(program.model, trusted=True), tuple(doubtful))


def forget_numbers(model: ir.Model, numbers: Collection[int]) -> None:
    """Sizes of values that are one of these numbers become names: torch wrote them for a free size.

    Of a recurrent layer it fixes the length in its shapes, while the loop that it writes takes any.
    """
    for node in model.graph if numbers else ():
        for value in node.outputs:
            sizes = tuple(value.shape or ())
            if any(size in numbers for size in sizes if isinstance(size, int)):
                value.shape = ir.Shape(
                    [f"{value.name}_{axis}" if size in numbers else size for axis, size in enumerate(sizes)]
                )


def _group_by_parameter(model: nn.Module, free: Sequence[object]) -> tuple[object, ...]:
    """One entry for each parameter of `forward`; a `*parameter` has one for all its arguments."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    single = next(
        (
            place
            for place, parameter in enumerate(parameters)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL
        ),
        len(free),
    )
    rest = (tuple(free[single:]),) if len(free) > single else ()
    return (*free[:single], *rest)


def _find_root_cause(error: BaseException) -> BaseException:
    """The first cause of the error, which names the operator or the constraint."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _describe(error: BaseException) -> str:
    """The error's type, and the first line of its text where it has one; of broken constraints all lines."""
    kind, line = type(error).__name__, first_line(error, _LONGEST_REASON)
    if line.startswith("Constraints violated"):  # that line only says where to look
        line = " ".join(str(error).split())[:_LONGEST_REASON]
    return line if line == kind else f"{kind}: {line}"


def _suggest_fix(reason: str) -> str:
    if "data-dependent" in reason:
        return (
            "the code branches on numbers that it computes: choose by `torch.where(condition, a, b)`, which "
            "computes both, or by `torch.cond`"
        )
    if "static shape" in reason:
        return "give the size as a number in --input, or rewrite the code that takes it for one"
    if "aten.clamp" in reason:
        return "give both bounds of the clamp as floats: x.clamp(-0.25, 1.0) in place of x.clamp(-0.25, 1)"
    return "rewrite what is named here with operators that torch.onnx.export knows, and try again"


def _require_types(model: ir.Model) -> None:
    """Raises ExportError where the graph computes in bfloat16, which ONNX Runtime hardly supports."""
    for node in model.graph.all_nodes():
        if any(value.dtype is ir.DataType.BFLOAT16 for value in node.outputs):
            raise ExportError(
                f"the model computes in bfloat16 at `{get_layer_name(node)}` ({node.op_type}), for which "
                "ONNX Runtime has hardly an operator; expected float32",
                hint="save the model after `model.float()`; `--precision fp16` rounds the file again",
            )


def _require_standard_operators(model: ir.Model) -> None:
    InlinePass()(model)
    foreign = sorted({f"{node.domain}::{node.op_type}" for node in model.graph.all_nodes() if node.domain})
    if foreign:
        raise ExportError(f"the model needs operators outside the ONNX standard: {', '.join(foreign[:5])}")

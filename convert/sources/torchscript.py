"""TorchScript files: code and weights in one archive.

TorchScript is a language of its own, without imports, processes or sockets. A file with code that runs on
opening is refused before it is opened, and one with code that does more than compute before any of it runs.
Converting then runs the code, which can take any time and memory. torch's reader of such files is C++ that a
damaged file can crash, so a process of its own reads and opens the file first.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptact.text import first_line
from convert.errors import SourceError
from convert.model_io.inputs import InputSpec, require_distinct
from convert.sources.constants import fold_constants
from convert.sources.probe import run_after_probe
from convert.sources.script_check import find_code_run_on_opening, find_unsafe_operation, needs_extension
from convert.sources.source import Source, SourceRequest, compute_digest
from convert.sources.torch_archive import ArchiveReader
from convert.sources.torch_output import silence_torch

LARGEST_CODE = 16 * 2**20  # bytes of one file
OPENING_MEMORY = 2 * 2**30  # bytes that opening may take beyond four times the file
LARGEST_PICKLE = 64 * 2**20  # bytes; the tensors' data lie beside it
OPENING_SECONDS = 120.0
NEWEST_WRITTEN = 20  # the newest opset that torch's older exporter writes
_PICKLES = ("data.pkl", "constants.pkl")
_OLDER = "model.json"  # in archives from before 2020, it gives the location of the code


class ScriptedModule(nn.Module):
    """A TorchScript module as an ordinary module."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, *arguments: Tensor) -> object:
        """The script's result."""
        return self.script(*arguments)


def read(request: SourceRequest) -> Source:
    """The module in a TorchScript file; the user names the inputs. Raises SourceError."""
    inputs = require_distinct(request.inputs)
    script = _open(request.path)
    for parameter in script.parameters():
        # A copy of a trainable parameter cannot be frozen.
        parameter.requires_grad_(False)
    model = ScriptedModule(script).eval()
    return Source(model, inputs, None, None, None, compute_digest(request.path), kind="TorchScript")


def write_graph(
    model: ScriptedModule,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: Sequence[str],
    opset: int,
) -> ir.Model:
    """The graph of the script, by torch's older exporter: the newer one takes no TorchScript."""
    file = io.BytesIO()
    # A script called in a trace keeps its control flow; the wrapper of the script and its outputs is dropped.
    traced = torch.jit.trace(model, arguments, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
    torch.onnx.export(
        traced,
        arguments,
        file,  # type: ignore[arg-type]  # it takes a stream, against its annotation
        dynamo=False,
        input_names=[spec.name for spec in inputs],
        output_names=list(outputs),
        dynamic_axes={
            spec.name: {axis: size for axis, size in enumerate(spec.shape) if isinstance(size, str)}
            for spec in inputs
        },
        opset_version=min(opset, NEWEST_WRITTEN),
    )
    graph = onnx.load_model_from_string(file.getvalue())
    if opset > NEWEST_WRITTEN:
        graph = onnx.version_converter.convert_version(graph, opset)
    return fold_constants(ir.from_proto(_infer_sizes(graph)))


def _infer_sizes(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with sizes inferred from its inputs: the exporter gives every size another name."""
    outputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph.graph.output]
    del graph.graph.value_info[:]
    for output in graph.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    for output, own in zip(inferred.graph.output, outputs, strict=True):
        if not output.type.tensor_type.HasField("shape"):
            output.CopyFrom(own)
    return inferred


def _open(path: Path) -> torch.jit.ScriptModule:
    def check_and_compile() -> torch.jit.ScriptModule:
        with silence_torch():
            _require_nothing_runs(path)
            return _compile(path)

    try:
        return run_after_probe(check_and_compile, OPENING_MEMORY + 4 * path.stat().st_size, OPENING_SECONDS)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        raise SourceError(
            f"`{path}` is a TorchScript archive that cannot be opened: {first_line(error)}",
            hint="save it again with torch.jit.save",
        ) from error


def _require_nothing_runs(path: Path) -> None:
    """Raises SourceError unless the archive is within bounds, and opening it runs no code of it."""
    records = ArchiveReader(path)
    for name in records.names:
        member = name.lower()  # torch's reader ignores case
        if member == _OLDER:
            raise _build_error(path, name, "an archive of before 2020")
        if member.startswith("code/") and member.endswith(".py"):
            reason = find_code_run_on_opening(records.read(name, LARGEST_CODE))
            if reason is not None:
                raise _build_error(path, name, reason)
        # torch's own reader of pickles knows tensors, plain values, and the classes of the code.
        elif member in _PICKLES and needs_extension(records.read(name, LARGEST_PICKLE)):
            raise _build_error(path, name, "an object of a C++ extension (`torch.classes`)")


def _compile(path: Path) -> torch.jit.ScriptModule:
    """The module, before any of its functions runs. Raises SourceError where one does more than compute."""
    unit: Any = torch._C.CompilationUnit()
    read: Any = torch._C.import_ir_module
    module = read(unit, str(path), torch.device("cpu"), {}, False)
    unsafe = find_unsafe_operation(unit.get_functions())
    if unsafe is not None:
        raise _build_error(path, *unsafe)
    script: torch.jit.ScriptModule = torch.jit._recursive.wrap_cpp_module(module)  # type: ignore[no-untyped-call]
    return script


def _build_error(path: Path, place: str, content: str) -> SourceError:
    return SourceError(
        f"`{path}` is a TorchScript archive whose `{place}` holds {content}, which is not run here",
        hint="load the module where it was written, and save it with `adaptive_act.save`",
    )

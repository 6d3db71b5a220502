"""TorchScript files: code and weights in one archive.

TorchScript is a language of its own, without imports, processes or sockets. What would run as the file is
opened is refused before it is, and what does more than compute before any of it is run; converting then runs
the code, which can take any time and memory. torch's reader of such files is C++ that a damaged one can
crash, so a process of its own reads and opens the file first.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from convert.errors import SourceError
from convert.model_io.inputs import InputSpec, distinct
from convert.sources.constants import fold_constants
from convert.sources.probe import first_elsewhere
from convert.sources.ranges import with_ranges
from convert.sources.script_check import beyond_tensors, needs_extension, run_on_opening
from convert.sources.source import Request, Source, digest_of
from convert.sources.torch_archive import Records
from convert.sources.torch_output import quiet_torch

LARGEST_CODE = 16 * 2**20  # bytes of one file
MEMORY = 2 * 2**30  # bytes that opening may take beyond four times the file
LARGEST_PICKLE = 64 * 2**20  # bytes; the tensors' data lie beside it
OPENING_SECONDS = 120.0
NEWEST_WRITTEN = 20  # the opset that torch's older exporter writes at most
_PICKLES = ("data.pkl", "constants.pkl")
_OLDER = "model.json"  # in archives of before 2020, whose code lies wherever this says


class Scripted(nn.Module):
    """A TorchScript module, behind the same methods as any other."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, *arguments: Tensor) -> object:
        """What the script returns."""
        return self.script(*arguments)


def read(request: Request) -> Source:
    """The module in a TorchScript file; the inputs are the user's to name. Raises SourceError."""
    inputs = distinct(request.inputs)
    script = _opened(request.path)
    for parameter in script.parameters():
        # A copy of a parameter that is trained is no longer one that can be frozen.
        parameter.requires_grad_(False)
    model = Scripted(script).eval()
    return Source(
        model, with_ranges(model, inputs), None, None, None, digest_of(request.path), kind="TorchScript"
    )


def written(
    model: Scripted,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[InputSpec],
    outputs: Sequence[str],
    opset: int,
) -> ir.Model:
    """The graph of the script. torch's newer exporter, which all else goes through, takes no TorchScript."""
    file = io.BytesIO()
    # Called in a trace, a script keeps its control flow; what wraps it and its outputs falls away.
    traced = torch.jit.trace(model, arguments, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
    torch.onnx.export(
        traced,
        arguments,
        file,  # type: ignore[arg-type]  # it takes a stream, its annotation does not
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
    return fold_constants(ir.from_proto(_sized(graph)))


def _sized(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with sizes that follow from its inputs: the exporter gives each a name of its own."""
    outputs = [onnx.ValueInfoProto.FromString(one.SerializeToString()) for one in graph.graph.output]
    del graph.graph.value_info[:]
    for output in graph.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    for output, own in zip(inferred.graph.output, outputs, strict=True):
        if not output.type.tensor_type.HasField("shape"):
            output.CopyFrom(own)
    return inferred


def _opened(path: Path) -> torch.jit.ScriptModule:
    def opened() -> torch.jit.ScriptModule:
        with quiet_torch():
            _require_nothing_runs(path)
            return _compiled(path)

    try:
        return first_elsewhere(opened, MEMORY + 4 * path.stat().st_size, OPENING_SECONDS)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SourceError(
            f"`{path}` is a TorchScript archive that cannot be opened: {reason[:300]}",
            hint="save it again with torch.jit.save",
        ) from error


def _require_nothing_runs(path: Path) -> None:
    """Raises SourceError unless the archive is within bounds, and opening it runs nothing of it."""
    records = Records(path)
    for name in records.names:
        member = name.lower()  # torch's reader takes upper case for lower
        if member == _OLDER:
            raise _refused(path, name, "an archive of before 2020")
        if member.startswith("code/") and member.endswith(".py"):
            reason = run_on_opening(records.read(name, LARGEST_CODE))
            if reason is not None:
                raise _refused(path, name, reason)
        # No Python pickle: torch's own reader knows tensors, plain values, and the classes of the code.
        elif member in _PICKLES and needs_extension(records.read(name, LARGEST_PICKLE)):
            raise _refused(path, name, "an object of a C++ extension (`torch.classes`)")


def _compiled(path: Path) -> torch.jit.ScriptModule:
    """The module, none of whose functions has run. Raises SourceError where one does more than compute."""
    unit: Any = torch._C.CompilationUnit()
    read: Any = torch._C.import_ir_module
    module = read(unit, str(path), torch.device("cpu"), {}, False)
    found = beyond_tensors(unit.get_functions())
    if found is not None:
        raise _refused(path, *found)
    script: torch.jit.ScriptModule = torch.jit._recursive.wrap_cpp_module(module)  # type: ignore[no-untyped-call]
    return script


def _refused(path: Path, where: str, what: str) -> SourceError:
    return SourceError(
        f"`{path}` is a TorchScript archive whose `{where}` holds {what}, which is not run here",
        hint="load the module where it was written, and save it with `adaptive_act.save`",
    )

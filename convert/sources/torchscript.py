"""TorchScript files: code and weights in one archive.

TorchScript is a language of its own, without imports, processes or sockets, and opening a file runs none of
it but `__setstate__`, which is refused here. Converting runs the code: it can take any time and memory, and
could write files by two operators, which are refused by name. torch's reader of such files is C++ that a
damaged one can crash, so a process of its own opens the file first.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from convert.errors import SourceError
from convert.inputs import InputSpec, distinct
from convert.quiet import quiet_torch
from convert.sources.constants import fold_constants
from convert.sources.probe import first_elsewhere
from convert.sources.ranges import with_ranges
from convert.sources.records import Records
from convert.sources.source import Request, Source, digest_of

LARGEST_CODE = 16 * 2**20  # bytes of one file
MEMORY = 2 * 2**30  # bytes that opening may take beyond four times the file
LARGEST_PICKLE = 64 * 2**20  # bytes; the tensors' data lie beside it
OPENING_SECONDS = 120.0
NEWEST_WRITTEN = 20  # the opset that torch's older exporter writes at most
_FLOAT32, _FLOAT64 = 6, 7  # as TorchScript writes them

_Refusal = tuple[re.Pattern[bytes], str]
_REFUSED: tuple[_Refusal, ...] = (
    (re.compile(rb"\b__setstate__\b"), "code that runs as the file is opened (`__setstate__`)"),
    (re.compile(rb"\b(?:from_file|save)\s*\("), "an operator that reads or writes files"),
    (re.compile(rb"\btorch\s*\.\s*classes\b"), "a class of a C++ extension (`torch.classes`)"),
    (re.compile(rb"\bops\s*\.\s*(?!(?:aten|prim|prims)\b)\w+"), "an operator of an extension"),
)


class Scripted(nn.Module):
    """A TorchScript module, behind the same methods as any other."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, *arguments: Tensor) -> object:
        """What the script returns."""
        return self.script(*arguments)

    def double(self) -> Self:
        """The script in float64, the types that its code names included; earlier copies stay as they are."""
        # A copy shares its code with what it was copied from; one that was written and read has its own.
        with quiet_torch():
            self.script = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(self.script.save_to_buffer())
            )
        widened = super().double()
        for module in self.script.modules():
            code: Any = module._c
            for name in code._method_names():
                _widen(code._get_method(name).graph)
        return widened


def read(request: Request) -> Source:
    """The module in a TorchScript file; the inputs are the user's to name. Raises SourceError."""
    inputs = distinct(request.inputs)
    _require_tame(request)
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


def _widen(graph: Any) -> None:
    """Where the code asks for float32 by its number, it asks for float64."""
    for node in graph.findAllNodes("prim::Constant"):
        for use in node.output().uses() if node.output().toIValue() == _FLOAT32 else ():
            asking = use.user
            if asking.kind().startswith("aten::") and _parameters(asking)[use.offset] == "dtype":
                wide = graph.insertConstant(_FLOAT64)
                wide.node().moveBefore(asking)
                asking.replaceInput(use.offset, wide)


def _parameters(node: Any) -> list[str]:
    return [argument.name for argument in torch._C.parse_schema(node.schema()).arguments]


def _opened(path: Path) -> torch.jit.ScriptModule:
    def opened() -> torch.jit.ScriptModule:
        with quiet_torch():
            module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        return module

    try:
        return first_elsewhere(opened, MEMORY + 4 * path.stat().st_size, OPENING_SECONDS)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SourceError(
            f"`{path}` is a TorchScript archive that cannot be opened: {reason[:300]}",
            hint="save it again with torch.jit.save",
        ) from error


def _require_tame(request: Request) -> None:
    """Raises SourceError unless the archive is within bounds, and its code names nothing that is refused."""
    records = Records(request.path)
    for name in records.names:
        if name.startswith("code/") and name.endswith(".py"):
            _require_tame_code(request.path, name, records.read(name, LARGEST_CODE), _REFUSED)
        elif name in ("data.pkl", "constants.pkl"):
            # No Python pickle: torch's own reader knows tensors, plain values, and the classes of the code.
            _require_tame_code(request.path, name, records.read(name, LARGEST_PICKLE), _REFUSED[2:3])


def _require_tame_code(path: Path, name: str, code: bytes, refused: Sequence[_Refusal]) -> None:
    for pattern, what in refused:
        if pattern.search(code):
            raise SourceError(
                f"`{path}` is a TorchScript archive whose `{name}` holds {what}, which is not run here",
                hint="load the module where it was written, and save it with `adaptive_act.save`",
            )

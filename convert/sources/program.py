"""`.pt2` files: programs of torch.export.

`torch.export.load` can run code of the file's choice: it unpickles freely, evaluates expressions, and calls
the functions that the graph names. So the file is read first, and opened only if its pickles load without
running code and its description is safe. Compiled code (AOTInductor) and objects of C++ extensions are
refused. Converting runs the graph: torch's operators on tensors, which take time and memory and do nothing
else.
"""

import copy
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils._pytree import TreeSpec, tree_unflatten

from adaptact.text import first_line
from adaptive_act.errors import CheckpointError
from convert.errors import SourceError, UsageError
from convert.manifest.size_bounds import LARGEST_SIZE, SizeBounds
from convert.model_io.forward import widen_dtype
from convert.model_io.inputs import InputSpec, add_size_bounds, require_distinct
from convert.sources.program_check import find_unsafe
from convert.sources.source import Source, SourceRequest, compute_digest
from convert.sources.torch_archive import UNPACKING_SLACK, ArchiveReader, load_tensors

LARGEST_DESCRIPTION = 256 * 2**20  # bytes
LARGEST_SAMPLE = 2**30  # bytes
_EXPORT_AGAIN = "export the module again, with this version of torch: torch.export.save(program, 'model.pt2')"
_PROGRAM = "models/model.json"
_SAMPLE = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
# What torch raises on a description that is damaged, or of another version.
_UNREADABLE = (
    *(RuntimeError, ValueError, TypeError, AssertionError, AttributeError, LookupError, ArithmeticError),
    *(SyntaxError, NotImplementedError, OSError, RecursionError),
)


class ProgramModule(nn.Module):
    """A program of torch.export as a module; it has no training mode."""

    def __init__(self, program: nn.Module, containers: TreeSpec) -> None:
        super().__init__()
        self.program = program
        self._containers = containers
        self.training = False

    def forward(self, *arguments: Tensor) -> object:
        """The program's outputs for tensors in the order of its inputs."""
        positional, named = tree_unflatten(arguments, self._containers)
        return self.program(*positional, **named)

    def train(self, mode: bool = True) -> Self:
        """The program unchanged: it was exported in one mode, which torch does not change."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ProgramModule":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch warns of its own way to copy trees
            return ProgramModule(copy.deepcopy(self.program, memo), self._containers)

    def double(self) -> Self:
        """The program in float64, including the types that its code names."""
        widened = super().double()
        for module in self.modules():
            if isinstance(module, fx.GraphModule):
                for node in module.graph.nodes:
                    node.args = map_aggregate(node.args, widen_dtype)
                    node.kwargs = map_aggregate(node.kwargs, widen_dtype)
                module.recompile()
        return widened


def read(request: SourceRequest) -> Source:
    """The program in a `.pt2`, with the inputs that it names. Raises SourceError."""
    path = request.path
    _require_safe(path)
    try:
        program = _open(path)
        inputs = require_distinct(_describe_inputs(program, request))
        model = ProgramModule(program.module(check_guards=False), program.call_spec.in_spec).requires_grad_(
            False
        )
    except _UNREADABLE as error:
        raise _build_error(path, f"cannot be opened: {type(error).__name__}: {first_line(error)}") from error
    return Source(model, inputs, None, None, None, compute_digest(path), kind="exported program")


def _open(path: Path) -> torch.export.ExportedProgram:
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # torch logs the trace of an error that it then raises
    try:
        with warnings.catch_warnings():
            # torch 2.9 views the file's bytes as tensors, and only reads them.
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            return torch.export.load(path)
    finally:
        logger.setLevel(level)


def _require_safe(path: Path) -> None:
    """Raises SourceError unless opening the file takes memory in proportion, and runs nothing of it."""
    records = ArchiveReader(path)
    if any(name.startswith("data/aotinductor") for name in records.names):
        raise _build_error(path, "holds compiled code (AOTInductor), which would run as machine code")
    if _PROGRAM not in records.names:
        raise _build_error(path, "is of an older version, or holds no program called `model`")
    legacy = next((name for name in records.names if name.endswith(".pt") and name != _SAMPLE), None)
    if legacy is not None or sum(name.startswith("models/") for name in records.names) > 1:
        raise _build_error(
            path, f"holds `{legacy or 'several programs'}`, expected one program and flat weights"
        )
    _require_safe_sample(path, records.read(_SAMPLE, LARGEST_SAMPLE))
    for name in _CONFIGS:
        _require_flat_tensors(path, _read_json(path, records, name), records, name.rpartition("/")[0])
    reason = find_unsafe(_read_json(path, records, _PROGRAM))
    if reason is not None:
        raise _build_error(path, f"is not opened, since it holds {reason}")


def _read_json(path: Path, records: ArchiveReader, name: str) -> Any:
    try:
        return json.loads(records.read(name, LARGEST_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise _build_error(path, f"is damaged: `{name}` is not JSON") from error


def _require_safe_sample(path: Path, sample: bytes) -> None:
    """Raises SourceError unless the sample inputs load as tensors alone: torch would unpickle them freely."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.pt"
        file.write_bytes(sample)
        try:
            load_tensors(file)
        except CheckpointError as error:
            raise _build_error(path, f"holds sample inputs that are not opened: {error}") from error


def _require_flat_tensors(path: Path, config: Any, records: ArchiveReader, folder: str) -> None:
    """Raises SourceError unless each weight is a flat member of its own, within the size of the file."""
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict):
        raise _build_error(path, f"is damaged: `{folder}` has no list of tensors")
    total = 0
    for name, entry in entries.items():
        try:
            if entry["use_pickle"] is not False or not entry["path_name"].startswith(("weight_", "tensor_")):
                raise _build_error(
                    path, f"holds `{name[:100]}` as a pickled object, whose loading would run code"
                )
            sizes = [int(size["as_int"]) for size in entry["tensor_meta"]["sizes"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _build_error(path, f"is damaged: tensor `{name[:100]}` has no description") from error
        total += prod(sizes)
        if min(sizes, default=0) < 0 or total > path.stat().st_size + UNPACKING_SLACK:
            raise _build_error(
                path, f"says that `{name[:100]}` has the sizes {sizes[:8]}, more than the file holds"
            )


def _describe_inputs(program: torch.export.ExportedProgram, request: SourceRequest) -> tuple[InputSpec, ...]:
    """The user's inputs, else the program's own; a free size has the same name everywhere."""
    names = program.graph_signature.user_inputs
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    tensors = [(str(name), values.get(str(name))) for name in names]
    other = next((name for name, value in tensors if not isinstance(value, Tensor)), None)
    if other is not None:
        raise _build_error(request.path, f"takes `{other}`, which is not a tensor")
    if request.inputs:
        if len(request.inputs) != len(tensors):
            raise UsageError(
                f"`{request.path}` takes {[name for name, _ in tensors]}, not {len(request.inputs)}"
            )
        return tuple(request.inputs)
    free: dict[str, str] = {}
    inputs = [_describe_input(name, value, free) for name, value in tensors if isinstance(value, Tensor)]
    return add_size_bounds(inputs, list(_list_bounds(program, free)))


def _list_bounds(program: torch.export.ExportedProgram, names: Mapping[str, str]) -> Iterator[SizeBounds]:
    """The ranges of the program's sizes; a lower end up to 2 is torch's habit in tracing and no bound."""
    for size, limits in program.range_constraints.items():
        low = int(limits.lower) if limits.lower > 2 else 0
        high = int(limits.upper) if limits.upper.is_Integer and limits.upper <= LARGEST_SIZE else None
        if str(size) in names and (low or high is not None):
            yield SizeBounds(names[str(size)], low, high)


def _describe_input(name: str, value: Tensor, free: dict[str, str]) -> InputSpec:
    shape: list[int | str] = []
    for axis, size in enumerate(value.shape):
        if isinstance(size, int):
            shape.append(size)
        else:
            is_batch = axis == 0 and "batch" not in free.values()
            shape.append(free.setdefault(str(size), "batch" if is_batch else f"{name}_{axis}"))
    return InputSpec(name, str(value.dtype).removeprefix("torch."), tuple(shape))


def _build_error(path: Path, reason: str) -> SourceError:
    return SourceError(f"`{path}` is a torch.export archive (.pt2) and {reason}", hint=_EXPORT_AGAIN)

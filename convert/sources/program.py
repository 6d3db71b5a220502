"""`.pt2` files: programs of torch.export.

`torch.export.load` would run code that such a file chose: it unpickles freely, evaluates expressions, and
calls what the graph names. So the file is read first, and opened only if its pickles load without running
code and its description is tame; compiled code (AOTInductor) and objects of C++ extensions are refused.
Converting runs the graph: torch's operators on tensors, which take time and memory and do
nothing else.
"""

import copy
import json
import logging
import tempfile
import warnings
from math import prod
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils._pytree import TreeSpec, tree_unflatten

from adaptive_act.errors import CheckpointError
from convert.errors import SourceError, UsageError
from convert.model_io.inputs import InputSpec, distinct
from convert.sources.program_check import untamed
from convert.sources.ranges import with_ranges
from convert.sources.source import Request, Source, digest_of
from convert.sources.torch_archive import SLACK, Records, saved

LARGEST_DESCRIPTION = 256 * 2**20  # bytes
LARGEST_SAMPLE = 2**30  # bytes
_AGAIN = "export the module again, with this version of torch: torch.export.save(program, 'model.pt2')"
_PROGRAM = "models/model.json"
_SAMPLE = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")

# What opening a description that is damaged, or of another version, raises.
_UNREADABLE = (
    *(RuntimeError, ValueError, TypeError, AssertionError, AttributeError, LookupError, ArithmeticError),
    *(SyntaxError, NotImplementedError, OSError, RecursionError),
)


class Program(nn.Module):
    """A program of torch.export behind the methods of any other module; it has no training mode."""

    def __init__(self, program: nn.Module, containers: TreeSpec) -> None:
        super().__init__()
        self.program = program
        self._containers = containers
        self.training = False

    def forward(self, *arguments: Tensor) -> object:
        """What the program returns for its tensors, in the order in which it names them."""
        positional, named = tree_unflatten(arguments, self._containers)
        return self.program(*positional, **named)

    def train(self, mode: bool = True) -> Self:
        """The program as it is: it was exported in one mode, and torch lets nobody change it."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Program":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch warns of how its own trees are copied
            return Program(copy.deepcopy(self.program, memo), self._containers)

    def double(self) -> Self:
        """The program in float64, the types that its code names included."""
        widened = super().double()
        for module in self.modules():
            if isinstance(module, fx.GraphModule):
                for node in module.graph.nodes:
                    node.args = map_aggregate(node.args, _widened)
                    node.kwargs = map_aggregate(node.kwargs, _widened)
                module.recompile()
        return widened


def read(request: Request) -> Source:
    """The program in a `.pt2`, with the inputs that it names. Raises SourceError."""
    path = request.path
    _require_tame(path)
    try:
        program = _opened(path)
        inputs = distinct(_inputs(program, request))
        model = Program(program.module(check_guards=False), program.call_spec.in_spec).requires_grad_(False)
    except _UNREADABLE as error:
        raise _refused(path, f"cannot be opened: {type(error).__name__}: {_first_line(error)}") from error
    return Source(
        model, with_ranges(model, inputs), None, None, None, digest_of(path), kind="exported program"
    )


def _widened(argument: Any) -> Any:
    return torch.float64 if argument is torch.float32 else argument


def _opened(path: Path) -> torch.export.ExportedProgram:
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # torch logs the trace of an error that it then raises
    try:
        return torch.export.load(path)
    finally:
        logger.setLevel(level)


def _require_tame(path: Path) -> None:
    """Raises SourceError unless opening the file takes what it holds, and runs nothing of it."""
    records = Records(path)
    if any(name.startswith("data/aotinductor") for name in records.names):
        raise _refused(path, "holds compiled code (AOTInductor), which would run as machine code")
    if _PROGRAM not in records.names:
        raise _refused(path, "is of an older version, or holds no program called `model`")
    legacy = next((name for name in records.names if name.endswith(".pt") and name != _SAMPLE), None)
    if legacy is not None or sum(name.startswith("models/") for name in records.names) > 1:
        raise _refused(path, f"holds `{legacy or 'several programs'}`, expected one program and flat weights")
    _require_safe_sample(path, records.read(_SAMPLE, LARGEST_SAMPLE))
    for name in _CONFIGS:
        _require_flat_tensors(path, _json(path, records, name), records, name.rpartition("/")[0])
    reason = untamed(_json(path, records, _PROGRAM))
    if reason is not None:
        raise _refused(path, f"is not opened, since it holds {reason}")


def _json(path: Path, records: Records, name: str) -> Any:
    try:
        return json.loads(records.read(name, LARGEST_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"is damaged: `{name}` is not JSON") from error


def _require_safe_sample(path: Path, sample: bytes) -> None:
    """The pickle of the sample inputs must load as tensors alone: torch would else load it as code."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.pt"
        file.write_bytes(sample)
        try:
            saved(file)
        except CheckpointError as error:
            raise _refused(path, f"holds sample inputs that are not opened: {error}") from error


def _require_flat_tensors(path: Path, config: Any, records: Records, folder: str) -> None:
    """Each weight must lie flat in a member of its own and be no larger than all that the file holds."""
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict):
        raise _refused(path, f"is damaged: `{folder}` has no list of tensors")
    total = 0
    for name, entry in entries.items():
        try:
            if entry["use_pickle"] is not False or not entry["path_name"].startswith(("weight_", "tensor_")):
                raise _refused(
                    path, f"holds `{name[:100]}` as a pickled object, whose loading would run code"
                )
            sizes = [int(size["as_int"]) for size in entry["tensor_meta"]["sizes"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(path, f"is damaged: tensor `{name[:100]}` has no description") from error
        total += prod(sizes)
        if min(sizes, default=0) < 0 or total > path.stat().st_size + SLACK:
            raise _refused(
                path, f"says that `{name[:100]}` has the sizes {sizes[:8]}, more than the file holds"
            )


def _inputs(program: torch.export.ExportedProgram, request: Request) -> tuple[InputSpec, ...]:
    """The user's inputs where given, else the program's own; a free size has one name wherever it stands."""
    names = program.graph_signature.user_inputs
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    tensors = [(str(name), values.get(str(name))) for name in names]
    other = next((name for name, value in tensors if not isinstance(value, Tensor)), None)
    if other is not None:
        raise _refused(request.path, f"takes `{other}`, which is not a tensor")
    if request.inputs:
        if len(request.inputs) != len(tensors):
            raise UsageError(
                f"`{request.path}` takes {[name for name, _ in tensors]}, not {len(request.inputs)}"
            )
        return tuple(request.inputs)
    free: dict[str, str] = {}
    return tuple(_input(name, value, free) for name, value in tensors if isinstance(value, Tensor))


def _input(name: str, value: Tensor, free: dict[str, str]) -> InputSpec:
    shape: list[int | str] = []
    for axis, size in enumerate(value.shape):
        if isinstance(size, int):
            shape.append(size)
        else:
            first = axis == 0 and "batch" not in free.values()
            shape.append(free.setdefault(str(size), "batch" if first else f"{name}_{axis}"))
    return InputSpec(name, str(value.dtype).removeprefix("torch."), tuple(shape))


def _refused(path: Path, what: str) -> SourceError:
    return SourceError(f"`{path}` is a torch.export archive (.pt2) and {what}", hint=_AGAIN)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:300]

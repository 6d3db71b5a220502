"""Torch archives: read without running code from them and within bounded memory, written atomically."""

import contextlib
import pickle
import weakref
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from adaptact.files import replace_file
from adaptive_act.errors import CheckpointError

# The pickle inside describes the tensors; their data lie beside it, so even thousands need less than this.
_LARGEST_PICKLE = 64 * 2**20  # bytes
# A pickle of a few bytes can name one list in another so often that nobody could write it out.
_MOST_VALUES = 2**20
_DEEPEST = 100
# What torch.load raises on content that was damaged or made up.
_UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
META = torch.device("meta")
LEAST_BYTES = 4096
"""Bytes that a tensor counts for at least: the objects around its numbers take some thousand."""
# What operators raise on tensors without numbers, where what they make depends on these.
_UNPREDICTABLE = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def read_archive(path: Path) -> Any:
    """What the archive at `path` holds, with tensors on the CPU; only tensors and plain Python values load.

    Raises CheckpointError where the file is missing, damaged, of another kind, would need more memory than
    its own size, or holds an object whose loading would run code.
    """
    if not path.is_file():
        raise CheckpointError(f"no file `{path}`" + (", it is a folder" if path.is_dir() else ""))
    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(_describe_error(path, error)) from error
    _check_values(content, path)
    return content


def write_archive(content: Any, path: Path) -> None:
    """Saves `content` at `path`; the file there is replaced only by a complete one."""
    with replace_file(path) as temporary:
        torch.save(content, temporary)


def _check_archive(path: Path) -> None:
    """Bounds what loading may cost, from the archive's directory alone."""
    if not zipfile.is_zipfile(path):
        raise CheckpointError(_describe_other_file(path))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*_UNREADABLE, NotImplementedError) as error:
        raise CheckpointError(_describe_error(path, error)) from error
    names = {member.filename.split("/", 1)[-1] for member in members}
    if "constants.pkl" in names:
        raise CheckpointError(
            f"`{path}` is a TorchScript archive; expected a file written by `adaptive_act.save`"
        )
    if "data.pkl" not in names:
        raise CheckpointError(
            f"`{path}` is a zip archive but not one of torch.save; it holds {sorted(names)[:5]}"
        )
    pickles = sum(member.file_size for member in members if member.filename.endswith(".pkl"))
    if sum(member.file_size for member in members) > path.stat().st_size or pickles > _LARGEST_PICKLE:
        raise CheckpointError(f"`{path}` would unpack to more than it holds, which torch.save never writes")


def _check_values(content: Any, path: Path) -> None:
    """Bounds what walking through the content may cost: each value counts as often as it stands somewhere."""
    pending, count = [(content, 0)], 1
    while pending:
        value, depth = pending.pop()
        members: Any = ()
        if isinstance(value, dict):
            members = (*value.keys(), *value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            members = value
        count += len(members)
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise CheckpointError(
                f"`{path}` holds more than {_MOST_VALUES} values, or more than {_DEEPEST} within each other; "
                "expected a state_dict or what `adaptive_act.save` writes"
            )
        pending += [(member, depth + 1) for member in members]


def _describe_other_file(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return f"`{path}` is truncated: its end, which lists the content, is missing; copy or save it again"
    if start[:1] == b"\x80":
        return (
            f"`{path}` is a bare pickle, which runs code when it is loaded; save the model with "
            "`adaptive_act.save`, or its state_dict with torch.save"
        )
    return f"`{path}` is not a torch archive; expected a file written by `adaptive_act.save`"


def _describe_error(path: Path, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        with contextlib.suppress(*_UNREADABLE):
            named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            if named:
                return (
                    f"`{path}` holds pickled objects ({', '.join(sorted(named)[:3])}), whose loading would "
                    "run code; save the model with `adaptive_act.save`, or its state_dict with torch.save"
                )
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"`{path}` is damaged: {reason}"


def count_bytes(tensors: Iterable[Tensor]) -> int:
    """What the tensors take together, numbers that several of them look at once."""
    storages = {storage._cdata: storage for storage in map(Tensor.untyped_storage, tensors)}
    return sum(map(_storage_bytes, storages.values()))


class MemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Within, tensors take at most so many bytes at once; `error` is raised in place of taking more.

    What an operator will make is asked of torch's meta device first, which knows sizes without numbers.
    """

    supports_higher_order_operators = True

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most, self._error = most, error
        self._taken = 0
        self._sizes: dict[int, int] = {}
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if types:  # tensors that are more than numbers, such as those that a program is traced with
            return func(*args, **kwargs)
        self._require(_predict_bytes(func, args, kwargs))
        result = func(*args, **kwargs)
        for tensor in _dense_tensors(result):
            self._count(tensor.untyped_storage())
        self._require(0)
        return result

    def _require(self, more: int) -> None:
        if self._taken + more > self._most:
            raise self._error

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage.device == META:
            return
        key, size = storage._cdata, _storage_bytes(storage)
        if key not in self._sizes:
            self._known[key] = weakref.ref(storage, lambda _: self._forget(key))
        self._taken += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _forget(self, key: int) -> None:
        self._taken -= self._sizes.pop(key)
        del self._known[key]


def _predict_bytes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """The bytes of the tensors that the operator will make; 0 where their sizes depend on numbers."""
    if not isinstance(func, torch._ops.OpOverload) or func.is_view or func._schema.is_mutable:
        return 0
    if kwargs.get("device") == META or any(tensor.is_meta for tensor in _dense_tensors((args, kwargs))):
        return 0
    if any(argument.name == "device" for argument in func._schema.arguments):
        kwargs = {**kwargs, "device": META}
    with contextlib.suppress(*_UNPREDICTABLE):
        args, kwargs = tree_map_only(Tensor, _to_meta, (args, kwargs))
        return count_bytes(_dense_tensors(func(*args, **kwargs)))
    return 0


def _to_meta(tensor: Tensor) -> Tensor:
    return tensor.to(META)


def _dense_tensors(values: Any) -> list[Tensor]:
    """Those that are numbers side by side, which are all that have a size of their own."""
    leaves = tree_leaves(values)
    return [one for one in leaves if isinstance(one, Tensor) and one.layout == torch.strided]


def _storage_bytes(storage: torch.UntypedStorage) -> int:
    return max(storage.nbytes(), LEAST_BYTES)

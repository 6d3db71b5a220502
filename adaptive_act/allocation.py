"""Bounds the memory that somebody else's code takes for tensors, before it takes it."""

import contextlib
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

META = torch.device("meta")
SMALLEST = 4096
"""Bytes that a tensor counts for at least: the objects around its numbers take some thousand."""

# What operators raise on tensors without numbers, where what they make depends on these.
_UNTOLD = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """What the tensors take together, numbers that several of them look at once."""
    storages = {storage._cdata: storage for storage in map(Tensor.untyped_storage, tensors)}
    return sum(map(_size, storages.values()))


class Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
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
        self._require(_made(func, args, kwargs))
        result = func(*args, **kwargs)
        for tensor in _tensors(result):
            self._count(tensor.untyped_storage())
        self._require(0)
        return result

    def _require(self, more: int) -> None:
        if self._taken + more > self._most:
            raise self._error

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage.device == META:
            return
        key, size = storage._cdata, _size(storage)
        if key not in self._sizes:
            self._known[key] = weakref.ref(storage, lambda _: self._forget(key))
        self._taken += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _forget(self, key: int) -> None:
        self._taken -= self._sizes.pop(key)
        del self._known[key]


def _made(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """The bytes of the tensors that the operator will make; 0 where their sizes depend on numbers."""
    if not isinstance(func, torch._ops.OpOverload) or func.is_view or func._schema.is_mutable:
        return 0
    if kwargs.get("device") == META or any(tensor.is_meta for tensor in _tensors((args, kwargs))):
        return 0
    if any(argument.name == "device" for argument in func._schema.arguments):
        kwargs = {**kwargs, "device": META}
    with contextlib.suppress(*_UNTOLD):
        args, kwargs = tree_map_only(Tensor, _without_numbers, (args, kwargs))
        return bytes_of(_tensors(func(*args, **kwargs)))
    return 0


def _without_numbers(tensor: Tensor) -> Tensor:
    return tensor.to(META)


def _tensors(values: Any) -> list[Tensor]:
    """Those that are numbers side by side, which are all that have a size of their own."""
    leaves = tree_leaves(values)
    return [one for one in leaves if isinstance(one, Tensor) and one.layout == torch.strided]


def _size(storage: torch.UntypedStorage) -> int:
    return max(storage.nbytes(), SMALLEST)

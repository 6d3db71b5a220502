"""A bound on the memory that tensors take while a model is built."""

import contextlib
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

META = torch.device("meta")
LEAST_BYTES = 4096
"""The least bytes of a tensor: the objects around its numbers take some thousand."""
# What operators raise on the meta device where the sizes of their results depend on numbers.
_UNPREDICTABLE = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def count_bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of the tensors together; a storage that several of them share counts once."""
    storages = {storage._cdata: storage for storage in map(Tensor.untyped_storage, tensors)}
    return sum(map(_storage_bytes, storages.values()))


class MemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Within this mode, tensors take at most `most` bytes at once; `error` is raised before they take more.

    Each operator runs on torch's meta device first, which gives the sizes of its results.
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
        if types:  # subclasses of Tensor, such as those with which a program is traced
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
    """The strided tensors among the values: only these have a storage of their own."""
    leaves = tree_leaves(values)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.layout == torch.strided]


def _storage_bytes(storage: torch.UntypedStorage) -> int:
    return max(storage.nbytes(), LEAST_BYTES)

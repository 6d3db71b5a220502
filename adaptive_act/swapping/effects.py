"""What a forward does besides computing its outputs, which a graph of it leaves out."""

import copy
import random
from typing import Any, Self

import numpy as np
import torch
from torch import nn

# Where torch.fx puts the tensors that a forward makes out of nothing: the graph refers to them.
_CONSTANT = "_tensor_constant"


class UndoneEffects:
    """Within the block, what a forward changes is found; at its end, everything is as it was before.

    These are the module's own attributes and buffers, what its own lists, dictionaries and sets hold, and the
    states of the random generators of Python, numpy and torch.
    """

    def __init__(self, owner: nn.Module) -> None:
        self._owner = owner

    def __enter__(self) -> Self:
        self._attributes = _read_attributes(self._owner)
        self._contents = {
            name: copy.copy(value)
            for name, value in self._attributes.items()
            if isinstance(value, list | dict | set)
        }
        own = self._owner.named_buffers(recurse=False)
        self._buffers = {name: (buffer, buffer._version, buffer.clone()) for name, buffer in own}
        self._drawn = _read_generators()
        return self

    def __exit__(self, *_: object) -> None:
        own = vars(self._owner)
        for name in _read_attributes(self._owner):
            del own[name]
        own.update(self._attributes)
        for name, content in self._contents.items():
            _fill(own[name], content)
        for buffer, version, numbers in self._buffers.values():
            if buffer._version != version:
                buffer.data.copy_(numbers)
        random.setstate(self._drawn[0])
        np.random.set_state(self._drawn[1])
        torch.set_rng_state(self._drawn[2])

    def describe(self) -> str | None:
        """The first change so far, in words; None where there is none."""
        now = _read_attributes(self._owner)
        for name in {**self._attributes, **now}:
            if name not in self._attributes or now.get(name, self) is not self._attributes[name]:
                return f"its forward sets `self.{name}`"
        for name, content in self._contents.items():
            if not _holds_the_same(now[name], content):
                return f"its forward changes what `self.{name}` holds"
        for name, (buffer, version, _) in self._buffers.items():
            if buffer._version != version:
                return f"its forward writes into its buffer `{name}`"
        return None if _are_equal(_read_generators(), self._drawn) else "its forward draws random numbers"


def _read_attributes(owner: nn.Module) -> dict[str, Any]:
    """The module's own attributes but its mode, by name."""
    return {
        name: value
        for name, value in vars(owner).items()
        if name != "training" and not name.startswith(_CONSTANT)
    }


def _read_generators() -> tuple[Any, Any, torch.Tensor]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _are_equal(now: tuple[Any, Any, torch.Tensor], before: tuple[Any, Any, torch.Tensor]) -> bool:
    numbers, others = zip(now[1], before[1], strict=True), torch.equal(now[2], before[2])
    return now[0] == before[0] and all(np.array_equal(a, b) for a, b in numbers) and others


def _holds_the_same(now: Any, before: Any) -> bool:
    """Whether two lists, dictionaries or sets hold the same objects."""
    if isinstance(now, dict):
        return list(now) == list(before) and _holds_the_same([*now.values()], [*before.values()])
    return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))


def _fill(container: Any, content: Any) -> None:
    if _holds_the_same(container, content):
        return
    container.clear()
    (container.extend if isinstance(container, list) else container.update)(content)

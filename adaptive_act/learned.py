"""One learned parameter: where it starts, how it is stored, and the value as which it acts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

StartValue = float | Sequence[float] | Tensor


@dataclass(frozen=True, slots=True)
class Learned:
    """One learned parameter: the value it starts at, and whether it stays above zero.

    A positive parameter is stored as its logarithm, so every gradient step keeps it positive, and a step
    of the same size changes it by the same ratio wherever it stands.
    """

    init: float
    positive: bool = False

    def stored_name(self, name: str) -> str:
        """The name of the stored tensor."""
        return f"log_{name}" if self.positive else name

    def value_of(self, stored: Tensor) -> Tensor:
        """The value as which it acts."""
        return stored.exp() if self.positive else stored

    @torch.no_grad()
    def store(self, start: Sequence[float], stored: Tensor) -> None:
        """Sets `stored` to where it starts; `start` has one number for all channels, or one for each."""
        raw = [math.log(value) for value in start] if self.positive else start
        if len(raw) == 1:
            stored.fill_(raw[0])
        else:
            stored.copy_(torch.tensor(raw, dtype=torch.float64, device="cpu"))

    def check_start(self, start: StartValue | None, channels: int | None, where: str) -> list[float]:
        """The starting values, those given or `init`: one for all channels, or one for each.

        Raises ValueError where their number is another, or one is not above zero and has to be.
        """
        values = [self.init] if start is None else _list_numbers(start, where)
        if len(values) not in (1, channels or 1):
            raise ValueError(f"`{where}` starts with {len(values)} values, expected 1 or {channels or 1}")
        if self.positive and not all(value > 0 for value in values):
            raise ValueError(f"`{where}` must start above 0, got {values}")
        return values


def _list_numbers(start: StartValue, where: str) -> list[float]:
    if isinstance(start, Tensor) and start.is_meta:
        raise ValueError(f"`{where}` cannot start at a tensor on the meta device, which holds no values")
    numbers: list[float] = torch.as_tensor(start, dtype=torch.float64, device="cpu").reshape(-1).tolist()
    return numbers

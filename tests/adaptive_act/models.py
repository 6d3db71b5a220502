"""Small models that apply activations in every way in which models do."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import model_factory


class Modules(nn.Module):
    """One module an activation, in a Sequential."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ELU())
        self.head = nn.Sequential(nn.Flatten(1), nn.Linear(width * 16, 8), nn.SiLU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class Reused(nn.Module):
    """One module called twice, as in a residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.act = nn.ReLU()
        self.unused = nn.Linear(2, 2)

    def describe(self) -> str:
        return "a residual block"

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.first(x))
        return self.act(self.second(y) + x)  # type: ignore[no-any-return]  # Module calls are Any


class Shared(nn.Module):
    """One module under two names and in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        act = nn.ReLU()
        self.one, self.two = act, act
        self.body = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.body(self.one(x)) - 0.5)  # type: ignore[no-any-return]  # Module calls are Any


class Functional(nn.Module):
    """Every spelling of a call."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.relu = nn.Linear(4, 4)  # the name that a traced call would have

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.linear(x))
        x = torch.relu(self.relu(x) - 0.1)
        x = (self.linear(x) - 0.2).relu()
        x = F.leaky_relu(self.linear(x), 0.3)
        return F.elu(self.relu(x), alpha=0.7, inplace=True)


class Nested(nn.Module):
    """A block that calls functions, used twice with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Functional()
        self.again = self.block
        self.stack = nn.ModuleList([Reused(), Reused()])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stack:
            x = layer(x)
        return F.relu(self.again(self.block(x)))


class Branching(nn.Module):
    """A forward that depends on its data."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if x.sum() > 0 else self.act(-x)


class Dropping(nn.Module):
    """A forward that differs between training and evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.dropout(x, 0.5, self.training))


class Masked(nn.Module):
    """A forward with an optional argument, on which it branches."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.relu(x if mask is None else x * mask)


def rectified(x: Tensor) -> Tensor:
    return F.relu(x)


class Borrowing(nn.Module):
    """A forward that depends on its data and leaves the activation to a function."""

    def forward(self, x: Tensor) -> Tensor:
        return rectified(x) if x.sum() > 0 else x


def logged(method: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    @functools.wraps(method)
    def wrapper(self: Any, x: Tensor) -> Tensor:
        return method(self, x)

    return wrapper


class Decorated(nn.Module):
    """A forward that depends on its data and is wrapped by a decorator."""

    @logged
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) if x.sum() > 0 else x


class Awkward(nn.Module):
    """Calls in its source that cannot be swapped, each for a reason of its own, and one that can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.__slope = nn.Linear(4, 4), 0.3

    def mangled(self, x: Tensor) -> Tensor:
        return F.relu(x) * self.__slope

    def forward(self, x: Tensor, slope: float = 0.2) -> Tensor:
        y = self.linear(x)
        z = torch.relu_(y)
        y = F.leaky_relu(self.mangled(y), slope) + z
        return torch.relu(self.linear(y))


class Gated(nn.Module):
    """A forward whose only activation stands in a part that this module was built without."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: nn.Module | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.gate is not None:
            x = x * self.gate(x).relu()
        return x if mask is None else x * mask


class Methods(nn.Module):
    """Calls in a forward with an optional argument and in its methods, nested, inherited, with arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.sharpness = nn.Linear(4, 4), 0.5

    def features(self, x: Tensor) -> Tensor:
        return F.relu(F.elu(self.linear(x), alpha=self.sharpness))

    def forward(self, x: Tensor, mask: Tensor | None = None, *, shift: float = 0.25) -> Tensor:
        x = self.features(x).sub(shift).relu()
        x = F.leaky_relu(self.linear(x), 0.3)
        return x if mask is None else x * mask


class Inheriting(Methods):
    """A forward that hands on to that of its base class."""

    def forward(self, x: Tensor, mask: Tensor | None = None, *, shift: float = 0.25) -> Tensor:
        return super().forward(torch.relu(x), mask, shift=shift)


class Holding(nn.Module):
    """A function that the module holds, in a forward that depends on its data."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = functools.partial(F.gelu, approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x) if x.sum() > 0 else self.activation(-x)


class InPlace(nn.Module):
    """An in-place activation whose input is used again: the sum sees the activated value."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return self.linear(self.act(y)) + y  # type: ignore[no-any-return]  # Module calls are Any


@model_factory
def build_modules(width: int = 6) -> nn.Module:
    return Modules(width)


def unmarked() -> nn.Module:
    return Modules()


@model_factory
def not_a_model() -> nn.Module:
    return 3  # type: ignore[return-value]  # what the caller must find out


class Plain(nn.Module):
    """No parameters at all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Twice(nn.Module):
    """One block under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.again = self.block

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.block(x))  # type: ignore[no-any-return]  # Module calls are Any


class Renaming(nn.Linear):
    """Its state_dict calls the weight otherwise than the module does."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.register_state_dict_post_hook(self._renamed)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(self._named_again)  # type: ignore[no-untyped-call]

    @staticmethod
    def _renamed(module: nn.Module, state: dict[str, Any], prefix: str, metadata: object) -> None:
        state[f"{prefix}w"] = state.pop(f"{prefix}weight")

    @staticmethod
    def _named_again(module: nn.Module, state: dict[str, Any], prefix: str, *rest: object) -> None:
        state[f"{prefix}weight"] = state.pop(f"{prefix}w")


class Remembering(Plain):
    """Its state is more than tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"step": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        assert state == {"step": 3}


@model_factory
def quantised() -> nn.Module:
    """Torch's own int8, which keeps its weights packed."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to leave it to torchao
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})  # type: ignore[no-any-return, no-untyped-call]

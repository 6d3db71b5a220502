"""Runs a model's forward, which is foreign code: on copies of the samples, with one error for any failure."""

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from convert.errors import ConversionError, ExportError
from convert.model_io.array import Array

_TORCH = Path(torch.__file__).parent
_HALF = (torch.float16, torch.bfloat16)


def to_tensors(arrays: Sequence[Array]) -> tuple[Tensor, ...]:
    """The arrays as tensors with memory of their own: a model may write into its inputs."""
    return tuple(torch.from_numpy(np.array(array)) for array in arrays)


@runtime_checkable
class ArrayModel(Protocol):
    """A model that takes and gives arrays by itself: torch has none of texts."""

    is_reference: bool
    """Whether its own arithmetic is what the file must agree with, to the rounding of one number."""
    trees: int
    """How many trees it adds up, which jump at their thresholds; 0 for another model, or a reference."""

    def run_arrays(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name. Raises ExportError."""
        ...


def run_forward(
    model: nn.Module, arrays: Sequence[Array], hint: str, description: str | None = None
) -> object:
    """What the model returns for the arrays, without gradients; the arrays stay unchanged.

    Raises ExportError if it fails. The error names the inputs (`description`, or else their types and shapes)
    and the line of the model's code.
    """
    description = description or ", ".join(f"{array.dtype.name}{list(array.shape)}" for array in arrays)
    try:
        # What torch.cond compiles under a mode that counts or widens operators fails after the mode.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            result: object = model(*to_tensors(arrays))
    except ConversionError:
        raise
    except Exception as error:  # foreign code may raise anything
        advice = advise_float32(model) or hint
        raise ExportError(f"the model cannot be run on {description}: {_describe(error)}", advice) from error
    return result


def advise_float32(model: nn.Module) -> str | None:
    """What to do about a weight of half precision, where a model has one; its code seldom fits others."""
    for name, weight in model.named_parameters():
        if weight.dtype in _HALF:
            kind = str(weight.dtype).removeprefix("torch.")
            return (
                f"the weight `{name}` is in {kind}: save the model after `model.float()`, without casts to "
                f"{kind} in its code; `--precision fp16` rounds the file again"
            )
    return None


def _describe(error: Exception) -> str:
    """The error's type and text in one line, and the line of the user's code that raised it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The interpreter of TorchScript gives the reason in the last line.
    is_scripted = bool(lines) and "failed in the TorchScript interpreter" in lines[0]
    reason = lines[-1 if is_scripted else 0][:300] if lines else ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not Path(frame.filename).is_relative_to(_TORCH) and Path(frame.filename).is_file()
    ]
    place = f" (`{Path(frames[-1].filename).name}`, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if reason else ''}{reason}{place}"


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Within the block, code that asks for float32, by name or by torch's default, gets float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Float64Mode():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_default_dtype(default)


class LowestIndexFirst(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Makes `topk` give the lowest index of equal numbers first, as ONNX does: torch leaves open which."""

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.topk.default and args[0].dim():
            return _take_lowest_first(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _take_lowest_first(
    x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    ordered, indices = torch.sort(x, dim=dim, descending=largest, stable=True)
    return ordered.narrow(dim, 0, k), indices.narrow(dim, 0, k)


class _Float64Mode(LowestIndexFirst):  # type: ignore[no-untyped-call]
    """Also makes every operator that is asked for float32 return float64."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: widen_dtype(argument) for name, argument in (kwargs or {}).items()}
        wide = [widen_dtype(argument) for argument in args]
        if func is torch.ops.aten.convolution.default:
            return convolve_each(func, *wide, **named)
        return super().__torch_dispatch__(func, types, wide, named)


def convolve_each(convolve: Callable[..., Tensor], x: Tensor, *options: Any, **named: Any) -> Tensor:
    """The convolution of a batch, sample by sample: in float64, torch unfolds all that it is given at once.

    A 3×3 kernel takes nine times the memory of its input for that.
    """
    if len(x) < 2 or x.is_meta:
        return convolve(x, *options, **named)
    first = convolve(x[:1], *options, **named)
    result = first.new_empty((len(x), *first.shape[1:]))
    result[:1] = first
    for place in range(1, len(x)):
        result[place : place + 1] = convolve(x[place : place + 1], *options, **named)
    return result


def widen_dtype(argument: Any) -> Any:
    """torch.float64 for torch.float32; any other argument unchanged."""
    return torch.float64 if argument is torch.float32 else argument

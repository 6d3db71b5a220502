"""Runs a forward, which is anybody's code: on tensors of its own, and whatever it raises is one error."""

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from convert.errors import ConversionError, ExportError
from convert.model_io.samples import Array

_TORCH = Path(torch.__file__).parent


def tensors(arrays: Sequence[Array]) -> tuple[Tensor, ...]:
    """The arrays as tensors with numbers of their own: a model may write into what it is given."""
    return tuple(torch.from_numpy(np.array(array)) for array in arrays)


def forward(model: nn.Module, arrays: Sequence[Array], hint: str, given: str | None = None) -> object:
    """What the model returns for the arrays, which stay as they are, without gradients.

    Raises ExportError, that says on what (`given`, or else their types and shapes) and where, if it fails.
    """
    given = given or ", ".join(f"{array.dtype.name}{list(array.shape)}" for array in arrays)
    try:
        # What torch.cond compiles while its operators are counted or widened fails when they no longer are.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            result: object = model(*tensors(arrays))
    except ConversionError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise ExportError(f"the model cannot be run on {given}: {_said(error)}", hint) from error
    return result


def _said(error: Exception) -> str:
    """What the error says in one line, and where the user's own code raised it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    scripted = bool(lines) and "failed in the TorchScript interpreter" in lines[0]  # why is its last line
    said = lines[-1 if scripted else 0][:300] if lines else ""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not Path(frame.filename).is_relative_to(_TORCH) and Path(frame.filename).is_file()
    ]
    place = f" (`{Path(own[-1].filename).name}`, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{place}"


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Within, code that asks for float32, by its name or as torch's default, gets float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widening():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.set_default_dtype(default)


class _Widening(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Has every operator that is asked for float32 make float64."""

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(
            *(_widened(one) for one in args), **{name: _widened(one) for name, one in (kwargs or {}).items()}
        )


def _widened(argument: Any) -> Any:
    return torch.float64 if argument is torch.float32 else argument

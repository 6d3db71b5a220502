from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from convert.errors import ExportError, UsageError
from convert.model_io.forward import in_float64, run_forward
from convert.sources.torch_output import silence_torch

X = np.ones((2, 3), np.float32)


class Raises(nn.Module):
    """Code that raises what the test wants."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        """Never returns."""
        raise self.error


class OwnError(Exception):
    """What a stranger's package may raise."""


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("nine"),
        ZeroDivisionError("nine"),
        OwnError("nine"),
        KeyError("nine"),
        StopIteration("nine"),
    ],
)
def test_any_error_of_a_forward_names_its_line(error: Exception) -> None:
    with pytest.raises(
        ExportError, match=r"run on float32\[2, 3\]: \w+: .*nine.* \(`test_forward.py`, line"
    ) as raised:
        run_forward(Raises(error), [X], "do this")
    assert raised.value.__cause__ is error
    assert raised.value.hint == "do this"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_layer_of_half_precision_is_named_where_the_code_fails(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2).to(dtype))
    with pytest.raises(ExportError) as raised:
        run_forward(model, [X], "the hint for others")
    kind = str(dtype).removeprefix("torch.")
    assert f"the weight `1.weight` is in {kind}: save the model after `model.float()`" in (
        raised.value.hint or ""
    )


def test_an_error_without_text_is_named_by_type() -> None:
    with pytest.raises(ExportError, match=r"on x: AssertionError \("):
        run_forward(Raises(AssertionError()), [X], "", "x")


def test_a_conversion_error_passes_unchanged() -> None:
    with pytest.raises(UsageError, match=r"^ours$"):
        run_forward(Raises(UsageError("ours")), [X], "")


def test_a_script_error_gives_its_last_line() -> None:
    with silence_torch():
        script = torch.jit.trace(nn.Linear(3, 2), torch.ones(2, 3))  # type: ignore[no-untyped-call]
    with pytest.raises(ExportError, match="mat1 and mat2 shapes cannot be multiplied"):
        run_forward(script, [np.ones((2, 5), np.float32)], "")


def test_code_that_asks_for_float32_gets_float64() -> None:
    with in_float64():
        assert torch.ones(1).float().dtype == torch.float64
        assert torch.ones(1, dtype=torch.float32).dtype == torch.float64
        assert (torch.ones(1, dtype=torch.int64) / 3).dtype == torch.float64
        assert torch.ones(1).half().dtype == torch.float16
    assert torch.ones(1).dtype == torch.float32


class ConvolvedBatches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The sizes of the batches that torch convolves."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.sizes.append(len(args[0]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_a_float64_convolution_takes_the_memory_of_one_sample(batch: int) -> None:
    x = torch.randn(batch, 4, 6, 6, dtype=torch.float64)
    kernel = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    with ConvolvedBatches() as convolved, in_float64():
        result = F.conv2d(x, kernel, padding=1, groups=2)
    assert max(convolved.sizes) <= 1
    torch.testing.assert_close(result, F.conv2d(x, kernel, padding=1, groups=2), rtol=1e-12, atol=1e-12)

"""Purity: the outputs of a model depend on its inputs alone, and it stays as it is when it runs.

A layer that initialises itself from the first samples would take the statistics of those that are generated
here, and a random one may give the same outputs for a long time: both would pass parity.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from convert.errors import ConversionError, SourceError
from convert.model_io.array import Array
from convert.model_io.forward import run_forward
from convert.model_io.inputs import InputSpec
from convert.model_io.outputs import name_outputs
from convert.model_io.samples import make_example
from convert.sources.fold import copy_sharing_parameters

_SWITCHES = ("train", "training", "dropout_p")
"""Arguments of operators that are random only where these are set."""
_LARGEST_BELOW_1 = 1 - 2.0**-24
DEEPEST = 4
"""Of the lists and dictionaries in one another whose tensors are looked at."""
_State = Mapping[str, object]


def require_pure(model: nn.Module, inputs: tuple[InputSpec, ...]) -> None:
    """Raises SourceError where the model draws random numbers that its outputs show, or changes itself.

    A value that a forward keeps is no such change if it does not depend on the samples, as with a table of
    positions. A model that cannot be run passes: the export says why.
    """
    arrays = make_example(inputs)
    before, spare = _read_state(model), copy_sharing_parameters(model)
    recorder = _RandomRecorder()
    try:
        with recorder:
            run_forward(model, arrays, "")
        if recorder.operators and _shows_random_numbers(model, arrays):
            raise _build_random_error(model, recorder.operators)
        after = _read_state(model)
        if after != before:
            _require_lasting_state(model, spare, (before, after), arrays)
    except SourceError:
        raise
    except ConversionError:
        return


def _require_lasting_state(
    model: nn.Module, spare: nn.Module, states: tuple[_State, _State], arrays: tuple[Array, ...]
) -> None:
    """Raises SourceError where what the first run left depends on the samples, or changes in the next."""
    before, after = states
    written = [name for name, _ in model.named_parameters() if after[name] != before.get(name)]
    run_forward(model, arrays, "")
    again = _read_state(model)
    counted = [name for name, _ in model.named_buffers() if again[name] != after.get(name)]
    run_forward(spare, [_change(array) for array in arrays], "")
    other = _read_state(spare)
    taken = [name for name in after if after[name] != before.get(name) and after[name] != other.get(name)]
    for name in (*written, *counted, *taken):
        raise SourceError(
            f"the model changes its own `{name}` when it runs: the file would keep what the samples that are "
            "generated here leave in it",
            hint="run it on your own data before you save it, if it initialises itself, as ActNorm does, and "
            "see that the state_dict says so; make what lasts from call to call an input and an output",
        )


def _change(array: Array) -> Array:
    """Other samples of the same type and shape."""
    return 2 * array + 1 if array.dtype.kind == "f" else np.flip(array).copy()


def _read_state(model: nn.Module) -> _State:
    """A digest of every tensor and number that a module holds, by name."""
    return {
        f"{path}.{name}".lstrip("."): content
        for path, module in model.named_modules()
        for name, content in (*_digest_tensors(module), *_digest_attributes(module))
    }


def _digest_tensors(module: nn.Module) -> Iterator[tuple[str, object]]:
    for tensors in (module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
        for name, tensor in tensors:
            yield name, _digest(tensor)


def _digest_attributes(module: nn.Module) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if name.startswith(("_parameters", "_buffers", "_modules")) or name.endswith("_hooks"):
            continue
        for place, leaf in enumerate(_list_leaves(value)):
            yield (f"{name}[{place}]" if place else name), leaf


def _list_leaves(value: object, depth: int = DEEPEST) -> Iterator[object]:
    """The tensors and numbers in a value, as digests."""
    if isinstance(value, Tensor):
        yield _digest(value)
    elif isinstance(value, np.ndarray):
        yield value.shape, zlib.crc32(value.tobytes())
    elif isinstance(value, int | float | complex | np.generic):
        yield str(value)
    elif isinstance(value, list | tuple | dict) and depth:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _list_leaves(item, depth - 1)


def _digest(tensor: Tensor) -> object:
    """Type, sizes, and a sum over the bytes; of a tensor without plain memory the version alone."""
    try:
        numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    except (RuntimeError, TypeError, ValueError):  # ValueError: it has no sizes yet
        return tensor._version
    return tensor.dtype, tuple(tensor.shape), zlib.crc32(numbers.data)


class _RandomRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Records the random operators that run; `filling`, where given, takes the place of what they draw."""

    supports_higher_order_operators = True

    def __init__(self, filling: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: dict[str, None] = {}
        self._filling = filling

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if _is_random(func, args, kwargs or {}):
            self.operators[str(func)] = None
            if self._filling is not None:
                _fill(result, self._filling)
        return result


def _is_random(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if torch.Tag.nondeterministic_seeded not in getattr(func, "tags", ()):
        return False
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)}
    switches = [argument for argument in func._schema.arguments if argument.name in _SWITCHES]
    values = [{**given, **kwargs}.get(switch.name, switch.default_value) for switch in switches]
    return not values or any(values)


def _fill(result: Any, filling: float) -> None:
    """Real numbers become `filling`; whole ones, which may be indices, 0 for a filling of 0."""
    for tensor in result if isinstance(result, tuple) else (result,):
        if isinstance(tensor, Tensor) and (tensor.is_floating_point() or not filling):
            tensor.fill_(filling)


def _shows_random_numbers(model: nn.Module, arrays: tuple[Array, ...]) -> bool:
    """Whether an output changes with the numbers that are drawn, however seldom they are drawn so."""
    low, high = (_run_filled(model, arrays, filling) for filling in (0.0, _LARGEST_BELOW_1))
    return not all(torch.equal(low[name].nan_to_num(), high[name].nan_to_num()) for name in low)


def _run_filled(model: nn.Module, arrays: tuple[Array, ...], filling: float) -> dict[str, Tensor]:
    with _RandomRecorder(filling):
        return name_outputs(run_forward(model, arrays, ""), None)


def _build_random_error(model: nn.Module, operators: Mapping[str, None]) -> SourceError:
    training = [f"`{name or 'the model'}`" for name, module in model.named_modules() if module.training]
    return SourceError(
        f"the outputs of the model are random: they change with what {', '.join(operators)} draws",
        hint="is a dropout left in training mode? "
        + (
            f"these modules are: {', '.join(training[:5])}"
            if training
            else "no module is; a function must be told: F.dropout(x, p, self.training)"
        ),
    )

"""Statistics of the activations while they train, and the files and boards they are written to."""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.training.hooks import ActivationHooks

HEADER = ("step", "layer", "quantity", "value")
Readings = dict[str, dict[str, float]]
"""Layer -> quantity -> value."""
BOUND = 6.0
"""Where ReLU6 saturates; a normalised input is almost never beyond."""


@runtime_checkable
class Writer(Protocol):
    """Takes the readings of each step: layer -> quantity -> value."""

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Keeps the readings of one step."""

    def close(self) -> None:
        """Ends writing; everything is written."""


class CSVWriter:
    """Appends a line for each value to a file, `step,layer,quantity,value`, or continues an existing one.

    Each step is handed to the operating system whole, so a process that is killed loses none of the steps
    before; the torn line of a machine that lost power is cut off when the file is opened again. A run that
    was set back and resumed writes its steps again: of several lines for a step, the last ones count.

    Raises ValueError where the file is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        is_new = not self.path.exists() or not _cut_torn_line(self.path)
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        if is_new:
            self._rows.writerow(HEADER)
            self._file.flush()

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Appends the readings of one step."""
        for layer, quantities in readings.items():
            self._rows.writerows((step, layer, name, repr(value)) for name, value in quantities.items())
        self._file.flush()

    def close(self) -> None:
        """Closes the file, its content on the disk."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class TensorBoardWriter:
    """Writes each value as the scalar `layer/quantity` for TensorBoard; needs the package `tensorboard`.

    `purge_step` hides what a run that is now resumed wrote from that step on.
    """

    def __init__(self, folder: str | Path, purge_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # an optional dependency

        self._events = SummaryWriter(str(folder), purge_step=purge_step)

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the readings of one step."""
        for layer, quantities in readings.items():
            for name, value in quantities.items():
                self._events.add_scalar(f"{layer}/{name}", value, step)

    def close(self) -> None:
        """Closes the event file, with everything in it."""
        self._events.close()


class Monitor:
    """Reads every activation of `model` once in `every` steps, and gives the readings to the writers.

    For each layer: `value/<parameter>`, its learned values (over the channels their `min`, `mean` and `max`);
    `gradient/<parameter>`, the norm of their gradients; of what went through it in training mode,
    `inputs_beyond`, the share with |x| > bound, `outputs_rms` and `outputs_max`, the root mean square and the
    largest magnitude of the outputs that are finite, `inputs_not_finite` and `outputs_not_finite`, the
    number of NaN and infinities. Inside a compiled model nothing of what goes through is read.

    Use it in a `with` block, or call `close()`: it takes its hooks out of the model and closes the writers.
    """

    def __init__(
        self, model: nn.Module, writers: Sequence[Writer] = (), *, every: int = 100, bound: float = BOUND
    ) -> None:
        if every < 1:
            raise ValueError(f"`Monitor` expects every of at least 1 step, got {every}")
        self.every, self.bound = every, bound
        self.steps = 0
        self._model, self._writers = model, tuple(writers)
        self._seen: dict[str, list[Tensor]] = {}
        self._hooks = ActivationHooks(model, self._read)

    def step(self) -> Readings | None:
        """The readings of this step, None in the steps between; call it once for each optimiser step.

        Call it after `backward()` and before the gradients are cleared.
        """
        due = self._is_due()
        readings = self._readings() if due else None
        self._seen.clear()
        if readings is not None:
            for writer in self._writers:
                writer.write(self.steps, readings)
        self.steps += 1
        return readings

    def close(self) -> None:
        """Removes its hooks from the model and closes the writers."""
        self._hooks.close()
        for writer in self._writers:
            writer.close()

    def state_dict(self) -> dict[str, Any]:
        """The number of steps so far."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues counting from this state."""
        self.steps = state["steps"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_due(self) -> bool:
        return self.steps % self.every == 0

    def _read(self, layer: str, x: Tensor, output: Tensor) -> None:
        if self._model.training and self._is_due() and output.numel():
            self._seen.setdefault(layer, []).append(_measure_call(x, output, self.bound))

    def _readings(self) -> Readings:
        activations = named_activations(self._model)
        readings: Readings = {layer: {} for layer in self._hooks.layers}
        for layer in self._hooks.layers:
            readings[layer] = _read_values(activations[layer]) | _read_gradients(activations[layer])
            if layer in self._seen:
                readings[layer] |= _summarise_calls(torch.stack(self._seen[layer]))
        return readings


def _measure_call(x: Tensor, output: Tensor, bound: float) -> Tensor:
    """The numbers of one call, left on the device, in the order of `_summarise_calls`: [6]."""
    finite = output.isfinite()
    numbers = torch.where(finite, output, 0).float()
    counts = [(x.abs() > bound).sum(), (~x.isfinite()).sum(), (~finite).sum(), finite.sum()]
    sizes = [numbers.square().sum(), torch.linalg.vector_norm(numbers, math.inf)]
    return torch.stack([part.double() for part in (*counts, *sizes)])


def _summarise_calls(passages: Tensor) -> dict[str, float]:
    """The quantities over all calls [n, 6] of a step."""
    beyond, bad_inputs, bad_outputs, finite, squares, _ = passages.sum(0).tolist()
    return {
        "inputs_beyond": beyond / max(finite + bad_outputs, 1),
        "inputs_not_finite": bad_inputs,
        "outputs_not_finite": bad_outputs,
        "outputs_rms": math.sqrt(squares / max(finite, 1)),
        "outputs_max": passages[:, 5].max().item(),
    }


def _read_values(activation: Activation) -> dict[str, float]:
    readings: dict[str, float] = {}
    for name, value in activation.values().items():
        if value.numel() == 1:
            readings[f"value/{name}"] = value.item()
        else:
            readings[f"value/{name}/min"], readings[f"value/{name}/max"] = (
                value.min().item(),
                value.max().item(),
            )
            readings[f"value/{name}/mean"] = value.mean().item()
    return readings


def _read_gradients(activation: Activation) -> dict[str, float]:
    return {
        f"gradient/{name}": torch.linalg.vector_norm(parameter.grad).item()
        for name, parameter in activation.named_parameters()
        if parameter.grad is not None
    }


def _cut_torn_line(path: Path) -> int:
    """The size of a file that a CSVWriter wrote, shortened to its last whole line; refuses any other."""
    header = ",".join(HEADER)
    with path.open("r+b") as file:
        content = file.read()
        first, newline, _ = content.partition(b"\n")
        is_torn = not newline and header.encode().startswith(first)
        if first != header.encode() and not is_torn:
            raise ValueError(
                f"`{path}` starts with `{first[:80].decode(errors='replace')}`, expected `{header}`"
            )
        return file.truncate(content.rfind(b"\n") + 1)

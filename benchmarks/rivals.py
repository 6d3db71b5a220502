"""ONNX files that other tools write of a torch model, with which ours are compared."""

import copy
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptact.text import first_line
from adaptive_act import Activation, named_activations
from benchmarks.textbook import TEXTBOOK, Textbook
from convert.sources.opset import DEFAULT_OPSET
from convert.sources.torch_output import silence_torch

ONNXSLIM = find_spec("onnxslim") is not None
"""Whether onnxslim is installed, which is optional."""


def export_with_torch(
    model: nn.Module, example: Sequence[Tensor], names: Sequence[str], path: Path, *, free: bool
) -> None:
    """torch.onnx.export's own file; where `free`, the first size of every input is left open."""
    shapes: Any = tuple({0: "batch"} for _ in example) if free else None
    with silence_torch():
        program = torch.onnx.export(
            model.eval(),
            tuple(example),
            dynamo=True,
            input_names=list(names),
            dynamic_shapes=shapes,
            opset_version=DEFAULT_OPSET,
        )
    assert program is not None
    program.save(path, external_data=False)


def slim(source: Path, path: Path) -> None:
    """Writes onnxslim's version of the file."""
    import onnxslim  # noqa: PLC0415  # optional

    onnxslim.slim(str(source), str(path))


def make_textbook(model: nn.Module) -> nn.Module | None:
    """The model with its activations as people write them from the papers, at the same learned values.

    None where one of them has no such form.
    """
    written = copy.deepcopy(model)
    for name, activation in named_activations(written).items():
        kind = type(activation)
        formula = TEXTBOOK.get(kind.__name__)
        if formula is None or activation.options() != kind().options():  # as over another base
            return None
        parent, _, child = name.rpartition(".")
        setattr(
            written.get_submodule(parent), child, _align_channels(Textbook(activation, formula), activation)
        )
    return written


def _align_channels(written: Textbook, activation: Activation) -> Textbook:
    """The values a channel where they meet it: [C, 1, 1] for images, [C] where the channels come last."""
    if activation.channels is not None and activation.channel_axis == 1:
        for value in written.values.values():
            value.data = value.data.reshape(-1, 1, 1)
    return written


def try_tool(write: Callable[[], None]) -> str | None:
    """Why the tool failed, in one line, or None: a failure is a result too."""
    try:
        write()
    except Exception as error:  # noqa: BLE001  # another tool may raise anything
        return f"{type(error).__name__}: {first_line(error, longest=200)}"
    return None

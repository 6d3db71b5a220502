"""Writes the files that benchmarks/activation_cost.py times: one activation in one network, by every tool."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from adaptact.files import replace_file
from adaptive_act import ACTIVATIONS, Activation, named_activations, save, swap
from adaptive_act.errors import AdaptiveActError
from benchmarks.networks import NETWORKS
from benchmarks.rivals import ONNXSLIM, export_with_torch, make_textbook, slim, try_tool
from convert.pipeline import convert
from convert.tuning.tune import TuningOptions

INPUT = "x"
TRACED = 2  # samples; a batch of one would be taken for a fixed size
TUNING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Subject:
    """One activation in one network, its parameters shared or per channel; `tuned` asks for that file too."""

    network: str
    family: str
    per_channel: bool
    tuned: bool

    @property
    def key(self) -> str:
        """A name for files."""
        return f"{self.network}-{self.family}-{'channels' if self.per_channel else 'shared'}"

    def files(self, folder: Path) -> dict[str, Path]:
        """The network with ReLU and the files in this subject's folder, by the name of the tool."""
        own = sorted((folder / self.key).glob("*.onnx"))
        return {"plain": plain_path(self.network, folder), **{path.stem: path for path in own}}


@dataclass(frozen=True, slots=True)
class Files:
    """Which tools failed and why; `reason` is why the network cannot use the activation at all, or None."""

    failed: dict[str, str]
    reason: str | None = None


def plain_path(network: str, folder: Path) -> Path:
    """The path of the network with ReLU."""
    return folder / f"{network}.onnx"


def write_plain(network: str, folder: Path) -> None:
    """Writes the file of the network with ReLU, as convert writes it."""
    if not plain_path(network, folder).exists():
        _convert(NETWORKS[network].build(), network, plain_path(network, folder))


def write_files(subject: Subject, folder: Path) -> Files:
    """Writes every tool's file of the subject into the subject's folder, unless it is there."""
    own = folder / subject.key
    record = own / "files.json"
    if not record.exists():
        own.mkdir(exist_ok=True)
        files = _try_tools(subject, own)
        with replace_file(record) as temporary:
            temporary.write_text(json.dumps(asdict(files)), encoding="utf-8")
    return Files(**json.loads(record.read_text(encoding="utf-8")))


def _try_tools(subject: Subject, folder: Path) -> Files:
    try:
        model = make_adaptive(subject)
    except (AdaptiveActError, ValueError) as error:
        return Files({}, str(error))
    by_torch = partial(_export_with_torch, subject.network)
    steps: dict[str, Callable[[], None]] = {
        "ours": lambda: _convert(model, subject.network, folder / "ours.onnx"),
        "torch": lambda: by_torch(model, folder / "torch.onnx"),
    }
    if ONNXSLIM:
        steps["slim"] = lambda: slim(folder / "torch.onnx", folder / "slim.onnx")
    if (written := make_textbook(model)) is not None:
        steps["textbook"] = lambda: by_torch(written, folder / "textbook.onnx")
    failed = {name: reason for name, write in steps.items() if (reason := try_tool(write)) is not None}
    return Files(failed, failed.get("ours"))


def write_tuned(subject: Subject, folder: Path) -> str | None:
    """Writes the tuned file of the subject; returns why it failed, or None. Run nothing else meanwhile."""
    batches = NETWORKS[subject.network].batches
    tuning = TuningOptions(threads=1, batches=batches, seconds=TUNING_SECONDS, cached=False)
    path = folder / subject.key / "tuned.onnx"
    return try_tool(lambda: _convert(make_adaptive(subject), subject.network, path, tuning))


def make_adaptive(subject: Subject) -> nn.Module:
    """The network with the activation away from its start, as after training.

    Raises AdaptiveActError or ValueError where the activation cannot stand in it.
    """
    torch.manual_seed(0)
    network = NETWORKS[subject.network]
    kinds: dict[type[nn.Module], type[Activation]] = {nn.ReLU: ACTIVATIONS[subject.family]}
    example = network.example(TRACED)
    swapped = swap(network.build(), kinds, preserve=False, per_channel=subject.per_channel, example=example)
    with torch.no_grad():
        for activation in named_activations(swapped.model).values():
            for parameter in activation.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return swapped.model.eval()


def _export_with_torch(network: str, model: nn.Module, path: Path) -> None:
    export_with_torch(model, (NETWORKS[network].example(TRACED),), (INPUT,), path, free=True)


def _convert(model: nn.Module, network: str, path: Path, tuning: TuningOptions | None = None) -> None:
    described = NETWORKS[network]
    spec = {"name": INPUT, "dtype": "float32", "shape": [None, *described.shape]}
    checkpoint = path.with_suffix(".pt")
    save(model.eval(), checkpoint, factory=described.factory, inputs=[spec])
    convert(checkpoint, path, tuning=tuning)
    checkpoint.unlink()

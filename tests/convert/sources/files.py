"""Small valid files of every kind that is converted."""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from convert.model_io.inputs import InputSpec, parse_input
from tests.convert.models import make_activation

ROWS = parse_input("x:float32[N,4]")
TOKENS = (parse_input("ids:int64[N,T]"), parse_input("mask:bool[N,T]"))


def network(seed: int = 0) -> nn.Sequential:
    """[N, 4] -> [N, 3], with a learned activation in it."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 16), make_activation("PELU"), nn.Linear(16, 3)).eval()


class Tagger(nn.Module):
    """Token ids and a mask in; a dictionary with a tuple in it out."""

    def __init__(self, words: int = 50) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = nn.Embedding(words, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, object]:
        """[N, T], [N, T] -> scores [N, 4] and what they were made of, [N, T, 8]."""
        hidden = self.table(ids) * mask.unsqueeze(-1).to(torch.float32)
        return {"scores": self.head(hidden).mean(1), "hidden": (hidden, None)}


class TwoOutputs(nn.Module):
    """Two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[N, 4] -> [N, 2], twice."""
        y = self.linear(x)
        return {"a": y, "b": y + 1}


def write_state(path: Path) -> Path:
    """A bare state_dict."""
    torch.save(network().state_dict(), path)
    return path


def write_pickle(path: Path) -> Path:
    """A whole module in a pickle."""
    torch.save(nn.Sequential(nn.Linear(4, 3), nn.ELU()), path)
    return path


def write_program(path: Path, model: nn.Module | None = None, *arguments: Tensor) -> Path:
    """A `.pt2` with a free batch, and a free length where there are two inputs."""
    given = arguments or (torch.randn(2, 4),)
    free = tuple(dict.fromkeys(range(len(given)), Dim.AUTO) for _ in given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(model or network(), given, dynamic_shapes=free)
        torch.export.save(exported, path)
    return path


def write_tagger_program(path: Path) -> Path:
    """A `.pt2` of the tagger."""
    return write_program(
        path, Tagger().eval(), torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.bool)
    )


def write_torchscript(path: Path, model: nn.Module | None = None, *, traced: bool = True) -> Path:
    """A TorchScript file, traced or compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = (model or network()).eval()
        compiled: Any = torch.jit
        compiled.save(compiled.trace(chosen, torch.randn(2, 4)) if traced else compiled.script(chosen), path)
    return path


GRAPH = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N,4] x) => (float[N,3] y)
<float[3] b = {0.5, -0.25, 1}, float[1] s = {2},
 float[4,3] w = {1, 0.5, -1, 2, 0.25, 1, -0.5, 1, 1, 0.125, -1, 2}> {
    h = MatMul(x, w)
    a = Add(h, b)
    e = Elu(a)
    y = Mul(e, s)
}
"""


def make_onnx_model() -> onnx.ModelProto:
    """The graph of `graph`."""
    return onnx.parser.parse_model(GRAPH)


def write_onnx(path: Path, proto: onnx.ModelProto | None = None) -> Path:
    """An ONNX file."""
    path.write_bytes((proto or make_onnx_model()).SerializeToString())
    return path


KINDS: Mapping[str, tuple[Callable[[Path], Path], tuple[InputSpec, ...]]] = {
    "state.pt": (write_state, (ROWS,)),
    "pickled.pt": (write_pickle, (ROWS,)),
    "program.pt2": (write_program, ()),
    "script.ts": (write_torchscript, (ROWS,)),
    "graph.onnx": (write_onnx, ()),
}


def rewrite_archive(path: Path, change: Callable[[str, bytes], bytes | None], **added: bytes) -> Path:
    """The archive at `path`, its members changed, left out (None) or added, by their names in its folder."""
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    folder = next(iter(members)).partition("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            changed = change(name.partition("/")[2], content)
            if changed is not None:
                archive.writestr(name, changed)
        for name, content in added.items():
            archive.writestr(f"{folder}/{name}", content)
    return path

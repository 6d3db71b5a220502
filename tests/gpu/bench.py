"""What the checks share: the provider, the models, a clock, and how a check ends."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import torch
from torch import Tensor, nn

from adaptact.providers.catalogue import ProviderName
from adaptive_act import ACTIVATIONS
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec, parse_input
from serve.engine.model_files import open_files
from serve.engine.providers import CudaOptions
from serve.engine.repository import ModelFile
from serve.engine.session import Session, SessionOptions

LARGEST_FILE = 2**30
ROUNDS, RUNS = 11, 5


class CheckError(Exception):
    """A check failed; the message says what was expected, and what came."""


class NotHereError(Exception):
    """A check needs what this machine lacks; the message says what."""


class Block(nn.Module):
    """A transformer's feed-forward part, with a residual sum."""

    def __init__(self, width: int, act: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.part = nn.Sequential(nn.Linear(width, 4 * width), act, nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        result: Tensor = x + self.part(self.norm(x))
        return result


def make_images() -> nn.Module:
    """[n, 3, 32, 32] -> [n, 10]: six convolutions with learned activations of three families."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for place, name in enumerate(("PELU", "Swish", "NEAAF", "PELU", "Swish", "NEAAF")):
        width = 32 << (place // 2)
        stride = 1 + (place % 2)
        layers += [
            nn.Conv2d(channels, width, 3, stride, 1),
            nn.BatchNorm2d(width),
            ACTIVATIONS[name](width),
        ]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)).eval()


def make_rows() -> nn.Module:
    """[n, 512] -> [n, 10]: blocks whose layers are large enough for weights of few bits."""
    torch.manual_seed(0)
    blocks = [Block(512, ACTIVATIONS["Swish"](None)) for _ in range(4)]
    return nn.Sequential(*blocks, nn.Linear(512, 10)).eval()


SUBJECTS: Mapping[str, tuple[Callable[[], nn.Module], InputSpec]] = {
    "images": (make_images, parse_input("x:float32[N,3,32,32]")),
    "rows": (make_rows, parse_input("x:float32[N,512]")),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """One provider of this machine, and a folder to work in; `files` are the exported models."""

    provider: ProviderName
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def is_cuda(self) -> bool:
        """Whether it is the provider that CUDA's own options are for."""
        return self.provider == "cuda"

    def write_source(self, subject: str) -> Path:
        """The state_dict of the model, which `tests.gpu.bench:make_…` builds."""
        path = self.folder / f"{subject}.pt"
        if not path.exists():
            torch.save(SUBJECTS[subject][0]().state_dict(), path)
        return path

    def place(self, name: str, folder: str = "models") -> Path:
        """The path of a file in a models folder."""
        path = self.folder / folder / name / "1" / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def require(holds: bool, message: str) -> None:
    """Raises CheckError unless it holds."""
    if not holds:
        raise CheckError(message)


def make_samples(subject: str, count: int, seed: int = 0) -> Array:
    """[count, ...] of the subject's input."""
    shape = [size for size in SUBJECTS[subject][1].shape if isinstance(size, int)]
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def open_session(path: Path, provider: ProviderName, cuda: CudaOptions | None = None) -> Session:
    """The session that the server would open."""
    options = SessionOptions(1, provider, cuda or CudaOptions())
    with open_files(ModelFile("m", "1", path), LARGEST_FILE) as files:
        return Session(files, options)


def run(session: Session, x: Array) -> Array:
    """The only output."""
    (output,) = session.signature.outputs
    return np.asarray(session.run({"x": x}, [output.name])[0])


def ask(url: str, x: Array) -> Array:
    """What the server answers of the model `rows`."""
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    reply = httpx.post(f"{url}/v2/models/rows/infer", json={"inputs": [tensor]}, timeout=60)
    require(reply.status_code == 200, f"HTTP {reply.status_code}: {reply.text[:200]}")
    (output,) = reply.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def measure_error(result: Array, expected: Array) -> float:
    """The largest difference, as a share of what is expected at most."""
    return float(np.abs(result.astype(np.float64) - expected).max() / (np.abs(expected).max() or 1.0))


def compare_times(sessions: Sequence[Session], x: Array) -> list[float]:
    """The ratio of each session's time to the first's, by the clock on the wall, in turns."""
    times: list[list[float]] = [[] for _ in sessions]
    for session in sessions:
        run(session, x)
    for _ in range(ROUNDS):
        for session, own in zip(sessions, times, strict=True):
            start = time.perf_counter()
            for _ in range(RUNS):
                run(session, x)
            own.append(time.perf_counter() - start)
    return [
        statistics.median(mine / other for mine, other in zip(own, times[0], strict=True)) for own in times
    ]

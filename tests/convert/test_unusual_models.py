"""Models that are unusual in one way convert: the file gives what torch gives."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from convert.model_io.inputs import parse_input
from convert.pipeline import convert

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # torch would have parametrisations for KeptWeight
]


class KeptWeight(nn.Sequential):
    """Computes its weight before each call, and keeps it."""

    inputs = ("x:float32[N,4]",)

    def __init__(self) -> None:
        super().__init__(torch.nn.utils.weight_norm(nn.Linear(4, 3)), nn.ReLU(), nn.Linear(3, 2))


class Wide(nn.Sequential):
    """Computes in float64."""

    inputs = ("x:float64[N,4]",)

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 3, dtype=torch.float64), nn.Tanh())


class Unusual(nn.Module):
    """A layer, whose numbers the forward uses in another way than most."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(48, 48, bias=False)


class NumberGiven(Unusual):
    """Takes a number without axes."""

    inputs = ("x:float32[N,48]", "t:float32[]")

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        scaled: Tensor = self.layer(x) * t
        return scaled


class PassedWeight(Unusual):
    """Gives a view of a weight of its own to a layer."""

    inputs = ("x:float32[N,48]",)

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(2, 48))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(self.table[:1]) + x
        return y


class Weightless(nn.Module):
    """Has neither weights nor buffers."""

    inputs = ("x:float32[N,4]",)

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class SameTwice(Unusual):
    """Gives one tensor under two names."""

    inputs = ("x:float32[N,48]",)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.layer(x)
        return y, y


class Ranks(Unusual):
    """Gives the indices of the largest numbers, many of which are equal."""

    inputs = ("x:float32[N,48]",)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        ordered = torch.sort(self.layer(x).relu(), dim=-1, descending=True, stable=True)
        return ordered.indices, torch.softmax(self.layer(x), -1).topk(5, sorted=False).values.sum(-1)


class Spectra(Unusual):
    """Fourier transforms of lengths that are no powers of two, one of them free."""

    inputs = ("x:float32[N,48]", "y:float32[N,T]")

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        window = torch.hann_window(20)
        frames = torch.stft(self.layer(x), 20, 10, window=window, return_complex=True)
        return frames.abs(), torch.fft.rfft(y).abs()


CASES: list[tuple[type[nn.Module], tuple[str, ...], list[Tensor]]] = [
    (KeptWeight, KeptWeight.inputs, [torch.randn(5, 4)]),
    (Wide, Wide.inputs, [torch.randn(5, 4, dtype=torch.float64)]),
    (NumberGiven, NumberGiven.inputs, [torch.randn(5, 48), torch.tensor(0.5)]),
    (PassedWeight, PassedWeight.inputs, [torch.randn(5, 48)]),
    (Weightless, Weightless.inputs, [torch.randn(5, 4)]),
    (SameTwice, SameTwice.inputs, [torch.randn(5, 48)]),
    (Ranks, Ranks.inputs, [torch.randn(5, 48)]),
    (Spectra, Spectra.inputs, [torch.randn(5, 48), torch.randn(5, 33)]),
]


@pytest.mark.parametrize(
    ("kind", "inputs", "arguments"), [pytest.param(*case, id=case[0].__name__) for case in CASES]
)
def test_the_file_gives_what_torch_gives(
    tmp_path: Path, kind: type[nn.Module], inputs: tuple[str, ...], arguments: list[Tensor]
) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    source, file = tmp_path / "state.pt", tmp_path / "model.onnx"
    torch.save(model.state_dict(), source)
    convert(
        source, file, factory=f"{__name__}:{kind.__name__}", inputs=[parse_input(text) for text in inputs]
    )
    session = ort.InferenceSession(file)
    names = [value.name for value in session.get_inputs()]
    feeds = {name: value.numpy() for name, value in zip(names, arguments, strict=True)}
    with torch.no_grad():
        given = model(*arguments)
    expected = given if isinstance(given, tuple) else (given,)
    for answer, result in zip(session.run(None, feeds), expected, strict=True):
        np.testing.assert_allclose(answer, result.numpy(), rtol=1e-5, atol=1e-5)

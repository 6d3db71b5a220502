from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptive_act import model_factory, save
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet, generate_samples
from convert.parity.small_signals import SmallSignals, find_losses, try_small_signals
from convert.parity.verify import Original
from convert.pipeline import convert
from convert.rewriting.optimise import optimise
from tests.convert.models import export_model

ROWS = parse_input("x:float32[N,4]")


@model_factory
def amplifier(bias: bool = False) -> nn.Sequential:
    """Two linear layers about an ELU; without biases the output shrinks with the signal."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8, bias=bias), nn.ELU(), nn.Linear(8, 3, bias=bias)).eval()


def examine(model: nn.Module, *own: SampleSet) -> tuple[Original, SmallSignals]:
    """The model, and what it makes of small signals."""
    original = Original(model, ("y",))
    return original, try_small_signals(original, (*generate_samples([ROWS]), *own))


def make_given(size: float) -> SampleSet:
    """Samples of the user, of this size."""
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32) * np.float32(size)
    return SampleSet("given, 0", (x,), typical=True, given=True)


def test_outputs_shrink_with_the_signal_only_without_biases() -> None:
    assert examine(amplifier(bias=False))[1].shrink
    assert not examine(amplifier(bias=True))[1].shrink


class Inverse(nn.Module):
    """Outputs that are large for small signals."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        return 1 / (1e-3 + x.abs())


@pytest.mark.parametrize(("size", "shrinks"), [(1e4, True), (1.0, False)])
def test_small_outputs_of_the_users_samples_count(size: float, shrinks: bool) -> None:
    assert examine(Inverse(), make_given(size))[1].shrink is shrinks


def test_whole_numbers_have_no_small_signals() -> None:
    sets = generate_samples([parse_input("x:int64[N,4]<9")])
    assert try_small_signals(Original(nn.Identity(), ("y",)), sets) == SmallSignals()


@pytest.mark.slow
def test_what_a_plain_elu_loses_is_said() -> None:
    model = amplifier()
    original, small = examine(model)
    graph = optimise(export_model(model, ROWS)).model
    reasons = list(find_losses(original, Session(serialise(graph), ["x"]), small, {}))
    assert [reason.partition(",")[0] for reason in reasons] == ["on signals of 0.0001", "on signals of 1e-06"]
    assert "output `y` is off by 0.0" in reasons[1]
    given = replace(small, sets=(), given=(make_given(1e-5),))
    (reason,) = find_losses(original, Session(serialise(graph), ["x"]), given, {})
    assert reason.startswith("on your own samples, output `y` is off by 0.00")


def _relative_error(file: Path, size: float) -> float:
    x = (np.random.default_rng(2).standard_normal((64, 4)) * size).astype(np.float32)
    expected = amplifier().double()(torch.from_numpy(x).double()).detach().numpy()
    got: Array = Session(file, ["x"]).run([x])["y"]
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.slow
def test_a_file_is_right_on_small_signals(tmp_path: Path) -> None:
    inputs = [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    factory = "tests.convert.parity.test_small_signals:amplifier"
    save(amplifier(), tmp_path / "m.pt", factory=factory, inputs=inputs, outputs=["y"])
    manifest = convert(tmp_path / "m.pt", tmp_path / "m.onnx")
    assert ("elu_as_tanh", 1) in [(record.rule, record.times) for record in manifest.fired]
    assert max(_relative_error(tmp_path / "m.onnx", size) for size in (1, 1e-3, 1e-6, 1e-9)) < 1e-6

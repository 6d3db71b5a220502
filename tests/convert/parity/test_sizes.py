"""Models that ask for their sizes, from the file to the manifest."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, T5Config, T5EncoderModel

from convert.errors import ExportError, ParityError
from convert.evidence.inspection import read_onnx_file
from convert.manifest.manifest import Manifest
from convert.manifest.size_bounds import SizeBounds
from convert.model_io.inputs import parse_input
from convert.model_io.other_sizes import OtherSizes
from convert.parity.sizes import sample_doubtful, sample_recorded
from convert.parity.workload import NUMBERS, OPERATIONS, Work
from convert.pipeline import convert
from convert.recheck import RecheckOptions, RecheckResult, recheck
from convert.sources.source import Source


def _fill(x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 0, 16 - x.shape[1])) if x.shape[1] < 16 else x


def _fill_to_eight(x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 0, 8 - x.shape[1] % 8)) if x.shape[1] % 8 else x


def _halve_twice(x: Tensor) -> Tensor:
    """Pairs of pairs, as in a U-Net that fills what pooling left out."""
    pairs = F.avg_pool1d(x.mT, 2)
    wide = F.interpolate(F.avg_pool1d(pairs, 2), scale_factor=2.0)
    missing = pairs.shape[2] - wide.shape[2]
    return pairs + (F.pad(wide, (0, missing)) if missing else wide)


CODE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "cut": lambda x: x[:, :40] if x.shape[1] > 40 else x,
    "filled": _fill,
    "batch": lambda x: x * 2 if x.shape[0] > 100 else x,
    "three": lambda x: x * 2 if x.shape[0] == 3 else x,
    "seventeen": lambda x: x * 2 if x.shape[1] == 17 else x,
    "eighths": _fill_to_eight,
    "square": lambda x: x * 2 if x.shape[1] == x.shape[2] else x,
    "halves": _halve_twice,
    "single": lambda x: x.mean(1) if x.shape[1] == 1 else x,
    "alike": lambda x: x.flip(1).flip(1) if x.shape[1] > 40 else x,
}


class Sized(nn.Module):
    """[N, T, 4] -> the same, by code that asks for its sizes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, 4] -> [N, T, 4]."""
        return CODE[self.kind](x) * self.scale


class Places(nn.Module):
    """[N, T, 4] -> [N, 4, T - 2], of sixty-four places, and of three, which the kernel takes."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(64, 4))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, 4] -> [N, 4, T - 2]."""
        return F.avg_pool1d((x + self.places[: x.shape[1]]).mT, 3, 1)


class Circular(nn.Module):
    """[N, T, 4] -> [N, 4, T], of two at least in torch's graph, though one is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, 4] -> [N, 4, T]."""
        y: Tensor = self.layer(x.mT)
        return y


class Language(nn.Module):
    """[N, T] -> [N, T, 8]: a model of transformers, of one small layer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """[N, T] -> [N, T, 8]."""
        hidden: Tensor = self.model(ids).last_hidden_state
        return hidden


def _make_gpt() -> nn.Module:
    config = GPT2Config(
        vocab_size=20, n_positions=64, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    config.use_cache = False
    return Language(GPT2Model(config))


def _make_bert() -> nn.Module:
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    return Language(BertModel(config))


def _make_t5() -> nn.Module:
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    return Language(T5EncoderModel(config))


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "places": Places,
    "circular": Circular,
    "gpt": _make_gpt,
    "bert": _make_bert,
    "t5": _make_t5,
}


def build(kind: str) -> nn.Module:
    """The model of this kind, in evaluation mode, the same on every call."""
    torch.manual_seed(0)
    return (MODELS[kind]() if kind in MODELS else Sized(kind)).eval()


def convert_model(kind: str, path: Path, text: str) -> Manifest:
    """The manifest of the model's file at `path`."""
    weights = path.with_suffix(".pt")
    torch.save(build(kind).state_dict(), weights)
    factory = f"{__name__}:build"
    return convert(weights, path, factory=factory, factory_kwargs={"kind": kind}, inputs=[parse_input(text)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text", "enough"),
    [
        ("cut", "x:float32[N,T,4]", "x:float32[N,T<=40,4]"),
        ("filled", "x:float32[N,T,4]", "x:float32[N,T>=16,4]"),
        ("batch", "x:float32[N,2,4]", "x:float32[N<=100,2,4]"),
        ("three", "x:float32[N,2,4]", "x:float32[N>=4,2,4]"),
        ("seventeen", "x:float32[N,T,4]", "x:float32[N,T>=18,4]"),
        ("eighths", "x:float32[N,T,4]", "x:float32[N,T%8==0,4]"),
        ("single", "x:float32[N,T,4]", "x:float32[N,T>=2,4]"),
        ("square", "x:float32[N,T,U]", None),
    ],
)
def test_a_branch_that_computes_something_else_is_refused(
    kind: str, text: str, enough: str | None, tmp_path: Path
) -> None:
    with pytest.raises(ParityError, match="on samples") as refused:
        convert_model(kind, tmp_path / "m.onnx", text)
    hint = str(refused.value.hint)
    assert (f"is enough, say so: --input '{enough}'" if enough else "give the sizes as numbers") in hint
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("cut", "x:float32[N,T<=40,4]"),
        ("eighths", "x:float32[N,T%8==0,4]"),
        ("cut", "x:float32[N,32,4]"),
        ("alike", "x:float32[N,T,4]"),
        ("places", "x:float32[N,T,4]"),
        ("circular", "x:float32[N,T,4]"),
        ("gpt", "ids:int64[N,T]<20"),
        ("bert", "ids:int64[N,T]<20"),
        ("t5", "ids:int64[N,T]<20"),
    ],
)
def test_a_branch_that_computes_the_same_is_converted(kind: str, text: str, tmp_path: Path) -> None:
    convert_model(kind, tmp_path / "m.onnx", text)
    spec, model = parse_input(text), build(kind)
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for length in (3, 8, 16, 40, 48, 64):
        if not spec.get_bounds("T").allow(length):
            continue
        x = np.random.default_rng(length).integers(0, 20, spec.fill_sizes({"N": 3, "T": length}))
        x = x.astype(spec.dtype)
        (y,) = session.run(None, {spec.name: x})
        np.testing.assert_allclose(y, model(torch.from_numpy(x)).detach(), rtol=1e-4, atol=1e-4)


def recheck_model(kind: str, path: Path) -> RecheckResult:
    options = RecheckOptions(factory=f"{__name__}:build", factory_kwargs={"kind": kind})
    return recheck(path.with_suffix(".pt"), read_onnx_file(path), options)


@pytest.mark.slow
def test_a_file_is_checked_again_within_its_bounds(tmp_path: Path) -> None:
    manifest = convert_model("cut", tmp_path / "m.onnx", "x:float32[N,T<=40,4]")
    assert manifest.sizes == (SizeBounds("T", 0, 40),)
    assert manifest.tried_sizes == ()
    result = recheck_model("cut", tmp_path / "m.onnx")
    assert result.parity is not None
    assert result.failure is None
    assert max(run.reference["output"].shape[1] for run in result.parity.runs) == 40


@pytest.mark.slow
def test_a_file_is_checked_again_at_its_doubtful_sizes(tmp_path: Path) -> None:
    manifest = convert_model("alike", tmp_path / "m.onnx", "x:float32[N,T,4]")
    assert {"N": 2, "T": 41} in manifest.tried_sizes
    assert manifest.sizes == ()
    assert recheck_model("alike", tmp_path / "m.onnx").failure is None
    failure = recheck_model("cut", tmp_path / "m.onnx").failure
    assert failure is not None
    assert "shape" in failure


@pytest.mark.slow
def test_a_file_that_does_not_run_is_refused_with_bounds(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot run the graph on") as refused:
        convert_model("halves", tmp_path / "m.onnx", "x:float32[N,T,4]")
    assert "if `T%4==0` is enough, say so: --input 'x:float32[N,T%4==0,4]'" in str(refused.value.hint)


ROWS = parse_input("x:float32[N,4]")
BRANCH = OtherSizes({"N": 10**8 + 1}, ROWS.get_bounds("N"), "N <= 100000000")


def _make_source(kind: str) -> Source:
    return Source(build(kind), (ROWS,), None, None, None, "", kind="pickled module")


def test_a_size_that_is_too_large_to_compare_is_refused() -> None:
    with pytest.raises(ExportError, match=r"also takes N 100000001, which is too large to compare"):
        sample_doubtful(_make_source("batch"), [BRANCH], {}, Work(8, 4))


def test_a_large_size_that_the_model_refuses_is_passed_over() -> None:
    assert sample_doubtful(_make_source("square"), [BRANCH], {}, Work(8, 4)) == ()


def test_recorded_sizes_of_other_inputs_are_passed_over() -> None:
    bounded = replace(_make_source("batch"), inputs=(parse_input("x:float32[N<=9,4]"),))
    tried = [{"N": 8}, {"N": 10}, {"M": 8}, {"N": 8, "T": 3}, {"N": -1}, {"N": 0}, {"N": 10**12}, {}]
    assert [samples.sizes for samples in sample_recorded(bounded, tried, {}, Work(8, 4))] == [{"N": 8}]
    huge = [{"N": 2**31 - 1}]
    assert sample_recorded(_make_source("batch"), huge, {}, Work(8, 4)) == ()


def test_doubtful_sizes_take_bounded_work() -> None:
    sizes = [OtherSizes({"N": size}) for size in range(10, 25)]
    chosen = sample_doubtful(_make_source("batch"), sizes, {}, Work(OPERATIONS / 100, NUMBERS / 100))
    operations = sum(len(samples.arrays[0]) for samples in chosen) * OPERATIONS / 100
    assert 0.5 * OPERATIONS < operations <= OPERATIONS

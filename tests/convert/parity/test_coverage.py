from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.parity import coverage
from convert.parity.coverage import Trials, examine
from convert.parity.sampling import choose_samples
from convert.parity.verify import Original
from convert.parity.weakness import judge
from convert.sources.load import load
from convert.sources.source import Source
from tests.convert.graphs import parse_graph, write_constant, write_graph

ROWS = "x:float32[N,4]"


def examine_source(source: Source) -> Trials:
    names = source.outputs or ("y",)
    original = Original(source.model, names)
    sampling = choose_samples(original, source)
    original.remember(sampling.sets)
    return examine(original, source, sampling)


def make_source(model: nn.Module, *specs: str, outputs: tuple[str, ...] = ("y",)) -> Source:
    inputs = tuple(parse_input(spec) for spec in specs or (ROWS,))
    return Source(model.eval(), inputs, outputs, None, None, "", kind="module")


def make_layers(seed: int = 0) -> nn.Sequential:
    """[N, 4] -> [N, 3]; the second layer is the head."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.PReLU(), nn.Linear(8, 3))


def _find_unseen(model: nn.Module, *specs: str) -> set[str]:
    return set(examine_source(make_source(model, *specs)).weights.unseen)


def test_every_weight_of_a_sound_model_shows() -> None:
    trials = examine_source(make_source(make_layers()))
    assert trials.weights.tried == ("0.weight", "0.bias", "1.weight", "2.weight", "2.bias")
    assert trials.weights.unseen == ()
    assert trials.moved == {("x", "y")}


def test_what_stands_before_a_head_of_zeros_does_not_show() -> None:
    model = make_layers()
    nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]  # a layer has it
    assert _find_unseen(model) == {"0.weight", "0.bias", "1.weight"}


def test_a_unit_that_no_sample_wakes_hides_its_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.constant_(model[0].bias, -1e9)  # type: ignore[arg-type]  # a layer has it
    assert _find_unseen(model) == {"0.weight", "0.bias", "2.weight"}


class Residual(nn.Module):
    """A branch behind a normalisation whose weight is zero, beside the plain way."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.norm = nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4, 5] -> [N, 4, 5]."""
        normal: Tensor = self.norm(self.branch(x))
        return x + normal


def test_a_closed_gate_hides_its_branch_and_not_itself() -> None:
    assert _find_unseen(Residual(), "x:float32[N,4,5]") == {"branch.weight", "branch.bias"}


class Squares(nn.Module):
    """At its weight of zero the gradient is zero, and a change shows all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        return x + 100 * self.weight**2


class Detached(nn.Module):
    """Layers and a buffer that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.offset: Tensor
        self.register_buffer("offset", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 3]."""
        with torch.no_grad():
            result: Tensor = self.layer(x)
            return result + self.offset


class Rounds(nn.Module):
    """Has no gradient at all: its outputs are whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = make_layers()

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 3]."""
        result: Tensor = self.layer(x)
        return (result * 1000).to(torch.int64)


@pytest.mark.parametrize("model", [Squares(), Detached(), Rounds()], ids=["square", "detached", "rounded"])
def test_weights_without_a_gradient_are_changed(model: nn.Module) -> None:
    assert _find_unseen(model) == set()


def test_what_is_not_read_is_told_apart() -> None:
    model = make_layers()
    model.add_module("unused", nn.Identity())
    model.get_submodule("unused").register_parameter("weight", nn.Parameter(torch.ones(3)))
    trials = examine_source(make_source(model))
    assert trials.weights.unseen == ("unused.weight",)
    assert trials.weights.unread == {"unused.weight"}


class Pair(nn.Module):
    """Of three inputs, one moves both outputs, one moves one, and one moves none."""

    def forward(self, x: Tensor, mask: Tensor, idle: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 4], [N, 4], [N, 4] -> [N, 4] twice."""
        return x + idle * 0, x * mask.to(torch.float32)


def test_the_outputs_that_each_input_moves_are_found() -> None:
    specs = (ROWS, "mask:bool[N,4]", "idle:float32[N,4]")
    trials = examine_source(make_source(Pair(), *specs, outputs=("a", "b")))
    assert trials.moved == {("x", "a"), ("x", "b"), ("mask", "b")}


class Beyond(nn.Module):
    """Reads its first input only where the second is on one side of 0."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        """[N, 4], [N] -> [N, 4]."""
        return torch.where((at * self.side > 0)[:, None], x, at[:, None])


@pytest.mark.parametrize("side", [-1, 1])
def test_an_input_that_moves_nothing_on_one_sample_is_tried_on_others(side: int) -> None:
    trials = examine_source(make_source(Beyond(side), ROWS, "at:float32[N]"))
    assert trials.moved == {("x", "y"), ("at", "y")}


class Undefined(nn.Module):
    """One of four columns is NaN where its input is below 0."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 4] -> [N, 4], [N, 4]."""
        return x, torch.cat((x[:, :3], x[:, 3:].sqrt()), 1)


def test_the_share_of_an_output_that_is_nan_is_found() -> None:
    source = make_source(Undefined(), outputs=("a", "b"))
    undefined = examine_source(source).undefined
    assert undefined.keys() == {"b"}
    assert 0.05 < undefined["b"] < 0.2
    assert "NaN on typical samples" in _judge_file(source)


def _judge_file(source: Source) -> str:
    head = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,4] x) => (float[N,4] a, float[N,4] b)'
    file = parse_graph(f"{head} {{ a = Identity(x) b = Sqrt(x) }}")
    return "; ".join(judge(examine_source(source), Original(source.model, ("a", "b")), source, file).reasons)


class Halves(nn.Module):
    """Takes any numbers."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        return x * 0.5


@pytest.mark.parametrize(
    ("spec", "least", "most"),
    [("x:int64[N,90]", -(2**63), 2**63 - 1), ("x:bool[N,9]", 0, 1), ("x:int32[N,90]<7", 0, 6)],
)
def test_the_whole_numbers_that_were_tried_are_counted(spec: str, least: int, most: int) -> None:
    trials = examine_source(make_source(Halves(), spec))
    (tried,) = trials.integers
    assert (tried.least, tried.most) == (least, most)
    assert tried.different >= min(most - least + 1, 60)
    assert trials.bounded == {"x"}


class CountsInto(nn.Module):
    """As many columns as the largest number asks for."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, columns]."""
        return F.one_hot(x).sum(1) * 1.0


def test_numbers_that_are_sizes_have_no_known_bound() -> None:
    assert examine_source(make_source(CountsInto(), "x:int64[N,4]")).bounded == set()


def _load_graph(tmp_path: Path, head: str | None = None) -> Source:
    constants = (write_constant("w", 4, 4), write_constant("v", 4, 4, values=head), write_constant("b", 4))
    body = "h = MatMul(x, w) r = Relu(h) m = MatMul(r, v) y = Add(m, b)"
    graph = parse_graph(write_graph(body, *constants, x="float[N,4]", y="float[N,4]"))
    (tmp_path / "m.onnx").write_bytes(serialise(graph))
    return load(tmp_path / "m.onnx")


def test_the_weights_of_a_graph_are_changed(tmp_path: Path) -> None:
    assert examine_source(_load_graph(tmp_path)).weights.tried == ("w", "v", "b")
    assert examine_source(_load_graph(tmp_path)).weights.unseen == ()
    zeros = f"{{{', '.join(['0'] * 16)}}}"
    assert examine_source(_load_graph(tmp_path, zeros)).weights.unseen == ("w",)


def test_the_model_keeps_its_weights() -> None:
    model = make_layers()
    nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]  # a layer has it
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = [parameter.requires_grad_(place % 2 == 0) for place, parameter in enumerate(model.parameters())]
    examine_source(make_source(model))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in frozen] == [True, False, True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_work_beyond_the_budget_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _load_graph(tmp_path)
    work = choose_samples(Original(source.model, ["y"]), source).work.operations
    monkeypatch.setattr(coverage, "OPERATIONS", 6 * work / coverage.SHARE)
    assert examine_source(source).weights.tried == ("w", "b")
    monkeypatch.setattr(coverage, "OPERATIONS", 0.0)
    assert examine_source(source).weights.tried == ()


class _Overflowing(nn.Module):
    """What float32 does not hold, over itself, in one of two columns."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 2]."""
        large = torch.exp(x[:, 0] + 100)
        return torch.stack([large / large * x[:, 1], x[:, 2]], 1)


def test_numbers_that_only_float32_has_not_are_a_weakness_too() -> None:
    undefined = examine_source(make_source(_Overflowing())).undefined
    assert undefined == {"y": pytest.approx(0.5)}

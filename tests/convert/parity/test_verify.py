import gc
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.artefact.file import serialise
from convert.errors import ExportError, ParityError, SourceError
from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Outcome, Rule
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.model_io.samples import generate_samples
from convert.parity.locate import CulpritSearch
from convert.parity.verify import Original, verify
from convert.rewriting.optimise import optimise
from convert.rules import RULES
from convert.sources.float64_reference import Float64Graph
from convert.sources.load import load
from tests.convert.models import (
    IMAGES,
    SideBySide,
    classifier,
    compare_model,
    export_model,
    optimise_model,
    scale_one_weight,
)

KINDS = ("PELU", "PReLU", "Swish", "NEAAF", "Affine")


def _wrong_elu(node: ir.Node) -> Outcome:
    """A rule with a mistake: it forgets what Elu does below zero."""
    edit = Edit(node)
    edit.replace(edit.op("Relu", *node.inputs[:1]))  # type: ignore[arg-type]  # an Elu has its input
    return FIRED


@pytest.mark.slow
def test_a_wrong_rule_is_named_with_its_layer() -> None:
    model = classifier("PELU")
    exact = export_model(model)
    rules = (*RULES[:10], Rule("elu_to_relu", ("Elu",), _wrong_elu))
    wrong = optimise(exact, rules)
    original = Original(model, ["y"])
    search = CulpritSearch(original, exact, wrong.firings, rules)
    session = Session(serialise(wrong.model), [IMAGES.name])
    with pytest.raises(ParityError) as exc_info:
        verify(original, session, generate_samples([IMAGES]), {}, search.find)
    assert exc_info.value.hint == "first differing after rule `elu_to_relu` at `2` (PELU)"


def _verify(model: nn.Module, whole: ir.Model, file: ir.Model) -> None:
    original = Original(model, ["y"])
    search = CulpritSearch(original, whole, optimise(whole).firings)
    session = Session(serialise(file), [IMAGES.name])
    verify(original, session, generate_samples([IMAGES]), {}, search.find)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return classifier("Swish")


@pytest.fixture(scope="module")
def whole(model: nn.Module) -> ir.Model:
    return export_model(model)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 5])
def test_ten_good_networks_pass_with_room(start: int) -> None:
    seeds = range(start, start + 5)
    names = [f"seed_{seed}" for seed in seeds]
    networks = SideBySide(
        *(classifier(KINDS[seed % 5], per_channel=start >= 5, seed=seed) for seed in seeds)
    ).eval()
    comparisons = compare_model(
        networks, optimise(export_model(networks, IMAGES, names)).model, IMAGES, names
    )
    assert {comparison.output for comparison in comparisons} == set(names)
    assert max(comparison.used for comparison in comparisons) < 0.7


@pytest.mark.slow
def test_a_thousandth_in_one_weight_of_any_layer_is_caught(model: nn.Module, whole: ir.Model) -> None:
    graph = optimise(whole).model
    weights = [name for name in graph.graph.initializers if name.endswith("weight")]
    assert len(weights) == 4
    for name in weights:
        assert not all(
            comparison.passed for comparison in compare_model(model, scale_one_weight(graph, name, 1.001))
        ), name


def test_a_wrong_weight_is_traced_to_its_layer(model: nn.Module, whole: ir.Model) -> None:
    wrong = scale_one_weight(whole, "4.weight", 1.1)
    with pytest.raises(
        ParityError, match=r"parity failed for output `y` on samples `.*`: .* at \[\d"
    ) as exc_info:
        _verify(model, wrong, optimise(wrong).model)
    assert exc_info.value.hint == "first differing layer: `4` (Conv2d)"


def test_the_first_of_two_wrong_layers_is_named(model: nn.Module, whole: ir.Model) -> None:
    wrong = scale_one_weight(scale_one_weight(whole, "8.weight", 1.5), "0.weight", 1.5)
    with pytest.raises(ParityError) as exc_info:
        _verify(model, wrong, wrong)
    assert exc_info.value.hint == "first differing layer: `1` (BatchNorm2d)"


class Insists(nn.Module):
    """Code that asks for float32, by name and by default."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3] -> [N, 2]."""
        result: Tensor = self.linear(x.float() / 255 + torch.ones(3) + torch.zeros(3, dtype=torch.float32))
        return result


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_model_that_insists_on_float32_is_judged_in_float64(kind: str) -> None:
    model, x = Insists().eval(), np.arange(6).reshape(2, 3)
    expected = (x / 255 + 1) @ model.linear.weight.double().numpy(force=True).T
    values = Original(model, ["y"]).run_float64([x.astype(kind)])["y"]
    np.testing.assert_allclose(values, expected + model.linear.bias.double().numpy(force=True), rtol=1e-14)
    assert torch.get_default_dtype() == torch.float32


class HalfPrecision(nn.Module):
    """A layer of half precision behind a cast."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2).half()

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3] -> [N, 2]."""
        result: Tensor = self.linear(x.half()).float()
        return result


def test_a_cast_to_half_precision_is_refused_with_the_layer_behind_it() -> None:
    with pytest.raises(ExportError) as raised:
        Original(HalfPrecision().eval(), ["y"]).run_float64([np.ones((2, 3), np.float32)])
    assert "`linear.weight` is in float16" in (raised.value.hint or "")


class Doubles(nn.Module):
    """Writes into what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3] -> [N, 3]."""
        return x.mul_(2)


def test_a_model_cannot_change_the_samples() -> None:
    (samples, *_) = generate_samples([parse_input("x:float32[N,3]")])
    before = samples.arrays[0].copy()
    original = Original(Doubles(), ["y"])
    original.remember([samples])
    assert np.array_equal(samples.arrays[0], before)
    assert np.array_equal(original.answer_once(samples)[1]["y"], 2 * before)


class Noisy(nn.Module):
    """Random, or with a state that is seen, or with one that is not."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.dropout = nn.Dropout()
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3] -> [N, 3]."""
        self.steps += 1
        if self.kind == "noise":
            return x + torch.randn_like(x)
        if self.kind == "dropout":
            result: Tensor = self.dropout(x)
            return result
        return x * self.steps if self.kind == "state" else x * 2


@pytest.mark.parametrize(
    ("kind", "training", "hint"),
    [
        ("noise", False, "F.dropout"),
        ("dropout", True, "these modules are: `the model`, `dropout`"),
        ("state", False, "F.dropout"),
    ],
)
def test_a_model_that_is_random_or_keeps_state_is_refused(kind: str, training: bool, hint: str) -> None:
    torch.manual_seed(0)
    original = Original(Noisy(kind).train(training), ["y"])
    with pytest.raises(SourceError, match="it is random, or keeps state") as exc_info:
        original.remember(generate_samples([parse_input("x:float32[N,3]")]))
    assert hint in str(exc_info.value.hint)


@pytest.mark.parametrize(("kind", "training"), [("dropout", False), ("counter", False)])
def test_state_that_no_output_shows_is_no_reason_to_refuse(kind: str, training: bool) -> None:
    Original(Noisy(kind).train(training), ["y"]).remember(generate_samples([parse_input("x:float32[N,3]")]))


class Halves(nn.Module):
    """Takes lengths of whole pairs only."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 2 T] -> [N, T]."""
        return x.view(x.shape[0], -1, 2).sum(2)


@pytest.mark.parametrize("learnt", [True, False])
def test_other_sizes_that_the_model_refuses_are_not_compared(learnt: bool) -> None:
    sets = [samples for samples in generate_samples([parse_input("x:float32[N,T]")]) if samples.finite]
    original = Original(Halves(), ["y"])
    if learnt:
        original.remember(sets)
    others = [samples for samples in sets if samples.name.startswith("other sizes")]
    assert [samples.arrays[0].shape for samples in others] == [(1, 33), (1, 64), (2, 1), (1, 1)]
    assert all(samples.optional for samples in others)
    accepted = [samples.name for samples in original.select_accepted(sets)]
    assert [name for name in accepted if name.startswith("other sizes")] == ["other sizes, T 64"]


@pytest.mark.slow
def test_a_failure_at_another_size_is_found() -> None:
    class Pads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x, (0, x.shape[1] % 2))

    class Forgets(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0

    rows = parse_input("image:float32[N,T]")
    comparisons = compare_model(Pads(), export_model(Forgets(), rows), rows)
    assert {comparison.run for comparison in comparisons if not comparison.passed} == {
        "other sizes, T 33",
        "other sizes, N 2, T 1",
        "other sizes, T 1",
    }


@pytest.mark.slow
def test_an_input_without_axes_is_compared() -> None:
    scalar = parse_input("image:float32[]")
    comparisons = compare_model(nn.PReLU(), export_model(Plus(), scalar), scalar)
    assert not all(comparison.passed for comparison in comparisons)
    assert all(record.passed for record in compare_model(Plus(), export_model(Plus(), scalar), scalar))


class Plus(nn.Module):
    """A parameter more, which is returned too, with its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        """[] -> [3]."""
        with torch.enable_grad():
            return x + self.more


def test_the_original_is_left_in_float32() -> None:
    model = classifier()
    Original(model, ["y"]).run_float64([np.ones((1, 3, 8, 8), np.float32)])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_an_ill_conditioned_output_passes_unless_wrong() -> None:
    torch.manual_seed(0)
    steep = nn.Linear(8, 3)
    with torch.no_grad():
        steep.weight.mul_(200)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), steep, nn.Softmax(1)).eval()
    rows = parse_input("image:float32[N,6]")
    graph = optimise_model(model, rows).model
    assert all(comparison.passed for comparison in compare_model(model, graph, rows))
    assert not all(
        comparison.passed
        for comparison in compare_model(model, scale_one_weight(graph, "0.weight", 1.01), rows)
    )


def _count_float64_graphs() -> int:
    gc.collect()
    return sum(type(record) is Float64Graph for record in gc.get_objects())


@pytest.mark.slow
def test_remembered_answers_free_the_float64_model(tmp_path: Path) -> None:
    before = _count_float64_graphs()
    (tmp_path / "m.onnx").write_bytes(serialise(export_model(classifier("PELU"))))
    source = load(tmp_path / "m.onnx")
    original = Original(source.model, ["y"])
    sets = generate_samples(source.inputs)
    original.run_float64(sets[0].arrays)
    assert _count_float64_graphs() == before + 1
    original.remember(sets)
    assert source.reference == "float64"
    assert _count_float64_graphs() == before


def test_known_answers_are_those_from_before_the_weights_changed() -> None:
    model = nn.Linear(3, 2)
    original = Original(model, ["y"])
    (samples, *_) = sets = generate_samples([parse_input("x:float32[N,3]")])
    original.remember(sets)
    before = original.answer(samples)
    nn.init.zeros_(model.weight)
    assert original.answer(samples) is before
    assert original.answer_once(samples) == (before.reference, before.originals[0])
    assert not np.array_equal(original.run_float32(samples.arrays)["y"], before.originals[0]["y"])


class Finite(nn.Module):
    """Refuses NaN and Inf."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        if not x.isfinite().all():
            raise ValueError("not finite")
        return x


def test_a_model_may_refuse_what_is_not_finite() -> None:
    sets = generate_samples([parse_input("x:float32[N,4]")])
    accepted = Original(Finite(), ["y"]).select_accepted(sets)
    assert [samples.name for samples in sets if not any(samples is other for other in accepted)] == [
        "nan",
        "inf",
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_topk_takes_the_lowest_index_of_equal_numbers(dtype: torch.dtype) -> None:
    class Top(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            largest = x.topk(3)
            return largest.indices, x.topk(2, largest=False).indices

    original = Original(Top(), ["most", "least"])
    run = original.run_float32 if dtype is torch.float32 else original.run_float64
    answers = run([np.zeros((1, 40), np.float32)])
    assert answers["most"].tolist() == [[0, 1, 2]]
    assert answers["least"].tolist() == [[0, 1]]

"""What each layer decides, on models whose answers are known."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_act import PReLU, named_activations, swap
from adaptive_act.errors import ExplainError
from adaptive_act.explain import Change, decide
from adaptive_act.explain.decisions import LabelledBatch, restore_starts
from adaptive_act.explain.start import find_starts
from adaptive_act.explain.table import decisions_record
from tests.adaptive_act.explain.models import batches, learned


class TwoSided(nn.Module):
    """Class 1 where |x| > 1: what lies left of -1 is seen by `left` alone, as it learned a slope of -1."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.idle = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        magnitude = self.idle(self.left(x) + 0.0)
        return torch.cat([torch.ones_like(x), magnitude], dim=1)


def two_sided() -> nn.Module:
    model = swap(TwoSided(), {nn.ReLU: PReLU}).model
    with torch.no_grad():
        model.get_parameter("left.a").fill_(-1.0)
        model.get_parameter("idle.a").fill_(0.7)
    return model


def sided() -> list[LabelledBatch]:
    """10 samples at 3, 6 at -2, both of class 1, and 8 at 0.5, of class 0."""
    x = torch.tensor([3.0] * 10 + [-2.0] * 6 + [0.5] * 8)[:, None]
    labels = torch.tensor([1] * 16 + [0] * 8)
    return list(zip(torch.split(x, 7), torch.split(labels, 7), strict=True))


def test_a_decisive_layer_changes_its_predictions() -> None:
    found = decide(two_sided(), sided())
    left, idle = found.layers
    assert found.accuracy.value == 1.0
    assert left.layer == "left"
    assert left.origin == "the fixed point at ReLU()"
    assert (left.change.accuracy.value, left.change.changed.value) == (-6 / 24, 6 / 24)
    assert left.change.p == pytest.approx(2 / 2**6)
    assert idle.change.accuracy.value == idle.change.changed.value == idle.change.loss.value == 0
    assert idle.change.p == 1
    assert found.together.change == left.change


def test_a_class_shows_what_is_decided_of_it() -> None:
    left = decide(two_sided(), sided(), classes=["near", "far"]).layers[0]
    near, far = left.by_class
    assert near is not None
    assert far is not None
    assert (near.samples, near.accuracy.value) == (8, 0.0)
    assert (far.samples, far.accuracy.value) == (16, -6 / 16)


def test_the_loss_change_is_put_back_less_learned() -> None:
    change = decide(two_sided(), sided()).layers[0].change
    lost = F.cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    kept = F.cross_entropy(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    assert change.loss.value == pytest.approx(6 / 24 * (lost - kept).item())
    assert change.loss.low < change.loss.value < change.loss.high


def test_it_equals_a_model_with_the_start_in_place() -> None:
    model, (x, labels) = learned(per_channel=True), batches(count=120, size=120)[0]
    found = decide(model, batches(count=120, size=50))
    right = (model.eval()(x).argmax(1) == labels).double().mean().item()
    for place, decision in zip(find_starts(model), found.layers, strict=True):
        parent, _, name = place.layer.rpartition(".")
        setattr(model.get_submodule(parent), name, place.start.activation)
        expected = (model(x).argmax(1) == labels).double().mean().item()
        setattr(model.get_submodule(parent), name, place.activation)
        assert decision.change.accuracy.value == pytest.approx(expected - right)
    assert found.accuracy.value == pytest.approx(right)


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_model_is_not_changed(per_channel: bool) -> None:
    model = learned(per_channel).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    decide(model, batches())
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_gone_after_an_error() -> None:
    model = learned()
    with pytest.raises(KeyError), restore_starts(find_starts(model)):
        raise KeyError
    assert not any(module._forward_hooks for module in model.modules())


def test_one_column_is_the_logit_of_class_1() -> None:
    model = nn.Sequential(PReLU(a=1.0))
    found = decide(model, [(torch.tensor([[-2.0], [3.0], [-1.0]]), torch.tensor([0, 1, 1]))])
    assert found.accuracy.value == pytest.approx(2 / 3)
    expected = F.binary_cross_entropy_with_logits(torch.tensor([-2.0, 3, -1]), torch.tensor([0.0, 1, 1]))
    assert found.loss.value == pytest.approx(expected.item())


def test_given_starts_are_put_back() -> None:
    model = two_sided()
    kept = decide(model, sided(), starts=named_activations(model))
    assert all(row.change.changed.value == 0 for row in kept.rows)


def test_a_shared_activation_is_put_back_everywhere() -> None:
    shared = PReLU(a=-1.0)
    model = nn.Sequential(shared, nn.Linear(2, 2), shared)
    found = decide(model, [(torch.randn(9, 2), torch.arange(9) % 2)], starts={"0": PReLU(a=1.0)})
    with restore_starts(find_starts(model, {"0": PReLU(a=1.0)})):
        x = -torch.ones(1, 2)
        torch.testing.assert_close(model(x), model[1](x))
    assert len(found.layers) == 1


def test_half_precision_is_measured_too() -> None:
    model = learned().to(torch.bfloat16)
    found = decide(model, [(x.bfloat16(), labels) for x, labels in batches()])
    assert 0 <= found.accuracy.value <= 1


def test_the_same_seed_gives_the_same() -> None:
    assert decide(two_sided(), sided()) == decide(two_sided(), sided())


def test_a_pass_is_reported_for_each_layer_and_two() -> None:
    passes: list[None] = []
    decide(two_sided(), sided(), passed=lambda: passes.append(None))
    assert len(passes) == 4


def test_answers_that_are_not_finite_stay_json() -> None:
    model = nn.Sequential(PReLU(a=float("nan")))
    found = decide(model, [(-torch.ones(4, 3), torch.tensor([0, 1, 2, 1]))])
    record = json.loads(json.dumps(decisions_record(found), allow_nan=False))
    assert record["loss"] == [None, None, None]


def test_a_class_without_samples_has_no_change() -> None:
    found = decide(two_sided(), [(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64))])
    assert isinstance(found.layers[0].by_class[0], Change)
    assert found.layers[0].by_class[1] is None


def test_batches_in_another_order_are_refused() -> None:
    x, labels = torch.randn(64, 1), torch.arange(64) % 2
    loader: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(x, labels), batch_size=16, shuffle=True)
    with pytest.raises(ExplainError, match="shuffle=False"):
        decide(two_sided(), loader)


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_labels_are_taken(kind: torch.dtype) -> None:
    few = [(x, labels.to(kind)) for x, labels in sided()]
    assert decide(two_sided(), few).accuracy.value == 1


def test_a_data_loader_is_taken() -> None:
    x, labels = torch.randn(64, 1), torch.arange(64) % 2
    loader: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(x, labels), batch_size=16)
    assert decide(two_sided(), loader).samples == 64


WRONG: dict[str, tuple[Tensor, Tensor, str]] = {
    "labels of another number": (torch.ones(3, 1), torch.tensor([0, 1]), r"got \[3, 2\] and \[2\]"),
    "labels that are shares": (torch.ones(2, 1), torch.tensor([0.5, 0.5]), "torch.float32"),
    "a label too large": (torch.ones(2, 1), torch.tensor([0, 2]), "expected labels from 0 to 1, .* got 2"),
    "a label below 0": (torch.ones(2, 1), torch.tensor([0, -1]), "got -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_classifiers_data_is_refused(case: str) -> None:
    x, labels, message = WRONG[case]
    with pytest.raises(ExplainError, match=message):
        decide(two_sided(), [(x, labels)])


def test_other_wrong_use_is_refused() -> None:
    with pytest.raises(ExplainError, match="there are no batches"):
        decide(two_sided(), [])
    with pytest.raises(TypeError, match="not an iterator"):
        decide(two_sided(), iter(sided()))
    with pytest.raises(ExplainError, match="names of 2 classes"):
        decide(two_sided(), sided(), classes=["only"])


def test_small_samples_get_wide_intervals() -> None:
    change = decide(two_sided(), sided()).layers[0].change
    assert change.accuracy.high - change.accuracy.low > 0.2
    assert np.isfinite([change.changed.low, change.changed.high]).all()

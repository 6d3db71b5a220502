"""A swap changes which activations a model has, and not what it computes."""

import copy
import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import (
    ABU,
    MPELU,
    NEAAF,
    PELU,
    Affine,
    FixedPointError,
    PReLU,
    SwapError,
    Swish,
    named_activations,
    parameter_groups,
    swap,
)
from tests.adaptive_act import models

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
VECTOR = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))


def seeded(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


@pytest.mark.parametrize(
    ("kind", "x", "layers"),
    [
        (models.Modules, IMAGE, ["features.1", "features.3", "head.2"]),
        (models.Reused, VECTOR, ["act", "act_1"]),
        (models.Shared, VECTOR, ["one", "two", "body.1", "body.3"]),
        (models.Functional, VECTOR, ["relu_call", "relu_2", "relu_3", "leaky_relu", "elu"]),
    ],
)
def test_every_use_has_its_own_parameters(kind: type[nn.Module], x: Tensor, layers: list[str]) -> None:
    model = seeded(kind)
    swapped, report = _swap(model, x)
    assert sorted(named_activations(swapped)) == sorted(layers)
    torch.testing.assert_close(swapped(x), model(x), rtol=1e-6, atol=1e-6)
    assert report.largest_change is not None
    parameters = [id(p) for a in named_activations(swapped).values() for p in a.parameters()]
    assert len(set(parameters)) == len(parameters) == report.parameters_added


def _swap(model: nn.Module, x: Tensor):  # type: ignore[no-untyped-def]  # a pair for unpacking
    done = swap(model, {nn.ReLU: PReLU, nn.LeakyReLU: PReLU, nn.ELU: MPELU, nn.SiLU: Swish}, example=x)
    return done.model, done.report


@pytest.mark.parametrize("kind", [models.Reused, models.Shared, models.Functional, models.Nested])
def test_every_parameter_receives_a_gradient(kind: type[nn.Module]) -> None:
    swapped, _ = _swap(seeded(kind), VECTOR)
    swapped(VECTOR).square().sum().backward()
    for name, activation in named_activations(swapped).items():
        for parameter in activation.parameters():
            assert parameter.grad is not None, name


def test_an_exact_fixed_point_keeps_outputs_bit_for_bit() -> None:
    model = seeded(models.Reused)
    assert torch.equal(swap(model, {nn.ReLU: ABU}).model(VECTOR), model(VECTOR))


def test_the_given_model_is_not_changed() -> None:
    model = seeded(models.Nested)
    before = copy.deepcopy(model.state_dict())
    _swap(model, VECTOR)
    assert not named_activations(model)
    assert str(model.state_dict()) == str(before)
    assert model.again is model.block


def test_a_rewritten_module_keeps_its_methods() -> None:
    model = seeded(models.Reused)
    swapped = swap(model, {nn.ReLU: PReLU}).model
    assert isinstance(swapped, models.Reused)
    assert swapped.describe() == "a residual block"
    assert set(model.state_dict()) < set(swapped.state_dict())


def test_a_block_with_shared_weights_stays_shared() -> None:
    swapped, _ = _swap(seeded(models.Nested), VECTOR)
    assert swapped.again is swapped.block
    assert {"block.relu_call", "again.relu_call", "relu", "stack.0.act", "stack.1.act_1"} <= set(
        named_activations(swapped)
    )


def test_a_rewritten_module_can_be_copied_and_trained() -> None:
    model = seeded(models.Functional)
    swapped, _ = _swap(model, VECTOR)
    twin = copy.deepcopy(swapped)
    assert torch.equal(twin(VECTOR), swapped(VECTOR))
    optimiser = torch.optim.SGD(parameter_groups(twin, lr=0.1))
    twin(VECTOR).square().mean().backward()
    optimiser.step()
    assert not torch.equal(twin(VECTOR), swapped(VECTOR))


def test_what_stood_there_sets_the_fixed_point() -> None:
    swapped, _ = _swap(seeded(models.Functional), VECTOR)
    activations = named_activations(swapped)
    assert activations["leaky_relu"].values()["a"].item() == pytest.approx(0.3)
    assert activations["elu"].values()["alpha"].item() == pytest.approx(0.7)


@pytest.mark.parametrize("kind", [NEAAF, Affine])
def test_a_wrapper_takes_what_stood_there_as_its_base(kind: type[NEAAF]) -> None:
    model = seeded(models.Modules)
    done = swap(model, {nn.ReLU: kind, nn.ELU: kind, nn.SiLU: kind}, example=IMAGE)
    bases = [type(a.base).__name__ for a in named_activations(done.model).values() if isinstance(a, kind)]
    assert bases == ["ReLU", "ELU", "SiLU"]


def test_options_are_given_by_partial() -> None:
    done = swap(seeded(models.Modules), {nn.ReLU: partial(NEAAF, side="both", gamma=0.02)})
    (activation,) = named_activations(done.model).values()
    assert activation.options() == {"base": "ReLU", "side": "both", "gamma": 0.02}


def test_channels_are_counted_on_the_example() -> None:
    model = seeded(models.Modules)
    done = swap(model, {nn.ReLU: PReLU, nn.ELU: PELU, nn.SiLU: Swish}, per_channel=True, example=IMAGE)
    assert [a.channels for a in named_activations(done.model).values()] == [6, 6, 8]
    assert [site.channels for site in done.report.changed] == [6, 6, 8]
    assert done.report.parameters_added == 6 + 2 * 6 + 8
    torch.testing.assert_close(done.model(IMAGE), model(IMAGE), rtol=1e-6, atol=1e-6)


def test_channels_of_calls_are_counted_too() -> None:
    done = swap(seeded(models.Functional), {nn.ReLU: PReLU}, per_channel=True, example=VECTOR)
    assert [site.channels for site in done.report.changed] == [4, 4, 4]


def test_channels_are_not_guessed() -> None:
    with pytest.raises(SwapError, match="pass `example=`"):
        swap(seeded(models.Modules), {nn.ReLU: PReLU}, per_channel=True)


def test_a_missing_fixed_point_names_layer_and_choices() -> None:
    with pytest.raises(
        FixedPointError, match=r"layer `features.1`: `PELU` has no fixed point at `ReLU\(\)`"
    ) as e:
        swap(seeded(models.Modules), {nn.ReLU: PELU})
    for name in ("PReLU", "NEAAF", "ABU", "MPELU", "preserve=False"):
        assert name in str(e.value)


def test_without_preserving_it_starts_at_its_own_values() -> None:
    done = swap(seeded(models.Modules), {nn.ReLU: PELU}, preserve=False, example=IMAGE)
    assert named_activations(done.model)["features.1"].values() == PELU().values()
    assert done.report.largest_change is not None
    assert done.report.largest_change > 1e-3


def test_nothing_to_swap_lists_the_activations() -> None:
    with pytest.raises(SwapError, match=r"found `GELU` nowhere in `Modules`.*`features.1` \(ReLU\(\)\)"):
        swap(seeded(models.Modules), {nn.GELU: Affine})


def test_a_foreign_class_is_refused() -> None:
    with pytest.raises(SwapError, match="expected an activation class of adaptive_act"):
        swap(seeded(models.Modules), {nn.ReLU: nn.PReLU})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("kind", "layer", "reason"),
    [
        (models.Borrowing, "", "`F.relu` left as it is: its forward could not be traced"),
        (models.Borrowing, "", "it stands in `rectified`"),
        (models.Decorated, "", "`torch.relu` left as it is: .* is decorated"),
        (models.InPlace, "act", "used again later"),
    ],
)
def test_what_cannot_be_swapped_is_named_with_its_reason(
    kind: type[nn.Module], layer: str, reason: str
) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), seeded(kind))
    report = swap(model, {nn.ReLU: PReLU}, example=VECTOR).report
    (entry,) = report.skipped
    assert entry.layer == f"2.{layer}".rstrip(".")
    assert re.search(reason, str(entry))
    assert str(entry) in str(report)


def test_a_forward_without_wanted_calls_is_not_reported() -> None:
    model = nn.Sequential(nn.ReLU(), models.Gated(), models.Branching())
    report = swap(model, {nn.ReLU: PReLU}).report
    assert [site.layer for site in report.changed] == ["0", "2.act", "2.relu"]
    assert report.skipped == ()
    (entry,) = swap(
        nn.Sequential(nn.Tanh(), models.Borrowing()), {nn.Tanh: Affine, nn.ReLU: PReLU}
    ).report.skipped
    assert entry.layer == "1"
    assert not swap(nn.Sequential(nn.Tanh(), models.Borrowing()), {nn.Tanh: Affine}).report.skipped


def test_what_is_inside_torchs_kernels_is_named() -> None:
    model = nn.Sequential(nn.RNN(4, 4, nonlinearity="relu"))
    model.append(nn.ReLU())
    (entry,) = swap(model, {nn.ReLU: PReLU}).report.skipped
    assert entry.layer == "0"
    assert "torch's own kernel of `torch.nn.RNN`" in entry.reason


def test_a_changed_output_is_an_error() -> None:
    """The in-place module hides in a Sequential, where only running the model can show what it does."""

    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            x = x - 0.1
            return self.body(x) + x  # type: ignore[no-any-return]  # Module calls are Any

    with pytest.raises(SwapError, match="outputs on the example changed"):
        swap(Hidden(), {nn.ReLU: PReLU}, example=VECTOR)


def test_rounding_in_a_deep_model_is_no_change() -> None:
    """In half precision the two formulas differ by far more than 1e-6, and in float64 by nothing."""
    deep = nn.Sequential(*(module for _ in range(8) for module in (nn.Linear(4, 4), nn.SiLU()))).to(
        torch.bfloat16
    )
    done = swap(deep, {nn.SiLU: Swish}, example=VECTOR.to(torch.bfloat16))
    assert done.report.largest_change is not None
    assert done.report.largest_change > 1e-6


def test_in_place_activations_are_swapped_per_channel() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 5, 1), nn.ReLU(inplace=True), nn.Conv2d(5, 2, 1), nn.SiLU(inplace=True)
    )
    done = swap(model, {nn.ReLU: PReLU, nn.SiLU: Swish}, per_channel=True, example=IMAGE)
    assert [site.channels for site in done.report.changed] == [5, 2]
    assert [site.replaced for site in done.report.changed] == ["ReLU(inplace=True)", "SiLU(inplace=True)"]


def test_a_torch_prelu_keeps_its_slopes_and_its_axis() -> None:
    slopes = nn.PReLU(3)
    slopes.weight.data = torch.tensor([0.1, 0.2, 0.3])
    (activation,) = named_activations(
        swap(nn.Sequential(slopes), {nn.PReLU: PReLU}, example=IMAGE).model
    ).values()
    assert torch.equal(activation.values()["a"], slopes.weight.data)


def test_a_swapped_model_can_be_swapped_again() -> None:
    model = seeded(models.Methods)
    first = swap(model, {nn.ReLU: PReLU}).model
    second = swap(first, {nn.ELU: MPELU, nn.LeakyReLU: PReLU}, example=VECTOR).model
    assert sorted(named_activations(second)) == ["elu", "leaky_relu", "relu", "relu_1"]
    assert torch.equal(second(VECTOR), model(VECTOR))


def test_activations_follow_the_models_dtype_and_mode() -> None:
    model = seeded(models.Modules).double().train()
    (activation,) = named_activations(swap(model, {nn.ReLU: PELU}, preserve=False).model).values()
    assert {p.dtype for p in activation.parameters()} == {torch.float64}
    assert activation.training


def test_the_report_lists_each_change() -> None:
    text = str(swap(seeded(models.Modules), {nn.ReLU: PReLU, nn.ELU: PELU}).report)
    assert "features.1: ReLU() -> PReLU" in text
    assert "features.3: ELU(alpha=1.0) -> PELU" in text
    assert "2 swapped, 3 parameters added" in text
    assert "pass example=" in text


@pytest.mark.parametrize("plain", ["relu", nn.ReLU(), int])
def test_only_classes_of_modules_are_replaced(plain: Any) -> None:
    with pytest.raises(SwapError, match=r"expected a class of torch's activations, such as nn\.ReLU, got"):
        swap(nn.Sequential(nn.ReLU()), {plain: PReLU})

"""Every activation against an independent reference, and in every way in which training uses it."""

import copy
import io
import shutil
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS, Activation
from tests.adaptive_act.references import REFERENCES, Reference

POINTS = [-30.0, -3.0, -1.0, -0.1, -1e-8, 0.0, 1e-8, 0.1, 0.7, 1.0, 3.0, 30.0]
EXTREMES = [0.0, 1e-8, -1e-8, 100.0, -100.0, 1e4, -1e4]
ELEMENTWISE = {name: kind for name, kind in ACTIVATIONS.items() if kind.elementwise}
FIXED_POINTS = [(kind, plain) for kind in ELEMENTWISE.values() for plain in kind.fixed_points]

every_variant = pytest.mark.parametrize("reference", REFERENCES, ids=str)


def built(reference: Reference, channels: int | None = None) -> Activation:
    return ACTIVATIONS[reference.name](channels, **reference.options)


def moved(reference: Reference, seed: int, channels: int | None = None) -> Activation:
    """The activation away from its start, in float64, as after some training."""
    activation = built(reference, channels).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.4)
    return activation


def gradients_at(activation: Activation, points: Tensor) -> list[Tensor]:
    """The values at the points and the gradients there, and those of the parameters over all of them."""
    x = points.requires_grad_()
    y = activation(x)
    return [y.detach(), *torch.autograd.grad(y.sum(), [x, *activation.parameters()])]


def in_channel(values: Mapping[str, Tensor], channel: int) -> dict[str, float]:
    return {name: float(value[channel]) for name, value in values.items()}


def test_every_activation_has_a_reference() -> None:
    assert {reference.name for reference in REFERENCES} == set(ELEMENTWISE)


@every_variant
@pytest.mark.parametrize("seed", range(4))
def test_the_value_is_the_papers(reference: Reference, seed: int) -> None:
    activation = moved(reference, seed)
    values = in_channel(activation.values(), 0)
    expected = torch.tensor([reference.value(x, values) for x in POINTS], dtype=torch.float64)
    actual = activation(torch.tensor(POINTS, dtype=torch.float64))
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-15)


@every_variant
@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 1), ((2, 3, 4, 4), 1), ((2, 3, 7), 1), ((2, 7, 3), -1)])
def test_each_channel_has_its_own_values(reference: Reference, shape: tuple[int, ...], axis: int) -> None:
    activation = moved(reference, seed=1, channels=3)
    for module in activation.modules():
        if isinstance(module, Activation):
            module.channel_axis = axis
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for channel in range(3):
        values = in_channel(activation.values(), channel)
        given = x.select(axis, channel)
        expected = [reference.value(float(v), values) for v in given.reshape(-1)]
        actual = activation(x).select(axis, channel).reshape(-1)
        torch.testing.assert_close(
            actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12
        )


@every_variant
@pytest.mark.parametrize("channels", [None, 3])
def test_gradients_are_those_of_the_value(reference: Reference, channels: int | None) -> None:
    activation = moved(reference, seed=2, channels=channels)
    x = torch.linspace(-3.1, 3.2, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
    names, parameters = zip(*activation.named_parameters(), strict=True)

    def value(x: Tensor, *parameters: Tensor) -> Tensor:
        called: Tensor = torch.func.functional_call(
            activation, dict(zip(names, parameters, strict=True)), (x,)
        )
        return called

    assert torch.autograd.gradcheck(value, (x, *parameters))


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_and_gradients_are_finite_at_the_extremes(reference: Reference, dtype: torch.dtype) -> None:
    """Wherever the true one is a number of that precision."""
    activation = moved(reference, seed=3)
    true = gradients_at(activation, torch.tensor(EXTREMES, dtype=torch.float64))
    actual = gradients_at(activation.to(dtype), torch.tensor(EXTREMES, dtype=dtype))
    largest = torch.finfo(dtype).max / 4
    for found, expected in zip(actual, true, strict=True):
        assert found.dtype is dtype
        assert found[expected.abs() < largest].isfinite().all()


@pytest.mark.parametrize(("kind", "plain"), FIXED_POINTS, ids=lambda kind: kind.__name__)
def test_it_equals_the_plain_activation_at_its_fixed_point(
    kind: type[Activation], plain: type[nn.Module]
) -> None:
    stands = nn.PReLU(3) if plain is nn.PReLU else plain()
    x = torch.cat([torch.linspace(-9, 9, 601), torch.tensor([0.0, 1e-8, -1e-8, 1e4, -1e4, 37.0])])
    x = x[:606].reshape(-1, 3)
    actual, expected = kind.at_fixed_point(stands)(x), stands(x)
    if (kind.__name__, plain.__name__) in {
        ("ACONC", "SiLU"),
        ("AdaptiveHardswish", "Hardswish"),
        ("AHAF", "QuickGELU"),
        ("APTx", "SiLU"),
        ("BetaMish", "Mish"),  # on some processors only
        ("CosLU", "SiLU"),
        ("MPELU", "ELU"),
        ("PSELU", "SELU"),
        ("PSSiLU", "SiLU"),
        ("Swish", "SiLU"),
    }:
        # The same function in other operators: torch's own kernel rounds differently in the last place.
        torch.testing.assert_close(actual, expected, rtol=2.5e-7, atol=6e-8)
    else:
        assert torch.equal(actual, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch itself
@every_variant
def test_it_compiles_into_one_graph(reference: Reference) -> None:
    torch.compiler.reset()  # all activations share one forward, whose number of compiled forms is bounded
    activation = moved(reference, seed=4).float()
    x = torch.linspace(-4, 4, 33)
    compiled = torch.compile(activation, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), activation(x), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's own backend needs a compiler")
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # of torch, within torch
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch itself
def test_one_activation_of_each_family_compiles_with_inductor() -> None:
    torch.compiler.reset()
    families = {kind.__module__: kind for kind in ELEMENTWISE.values()}
    model = nn.Sequential(*(kind() for kind in families.values()))
    compiled = torch.compile(model, fullgraph=True)
    x = torch.linspace(-4, 4, 33)
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)
    parameters = list(model.parameters())
    actual, expected = (torch.autograd.grad(run(x).sum(), parameters) for run in (compiled, model))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@every_variant
def test_a_deep_copy_is_equal_and_separate(reference: Reference) -> None:
    activation = moved(reference, seed=5)
    twin = copy.deepcopy(activation)
    x = torch.linspace(-30, 30, 33, dtype=torch.float64)
    assert torch.equal(twin(x), activation(x))
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.equal(twin(x), activation(x))


@every_variant
def test_the_state_dict_restores_it(reference: Reference) -> None:
    activation = moved(reference, seed=6, channels=3)
    file = io.BytesIO()
    torch.save(activation.state_dict(), file)
    file.seek(0)
    other = built(reference, channels=3).double()
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(4, 3, dtype=torch.float64)
    assert torch.equal(other(x), activation(x))


@every_variant
@pytest.mark.parametrize("channels", [None, 3])
def test_folding_leaves_constants_and_the_same_value(reference: Reference, channels: int | None) -> None:
    activation = moved(reference, seed=7, channels=channels)
    folded = activation.folded()
    x = torch.randn(4, 3, dtype=torch.float64)
    assert not list(folded.parameters())
    assert torch.equal(folded(x), activation(x))
    assert folded.values().keys() == activation.values().keys()


@every_variant
def test_its_options_build_an_equal_one(reference: Reference) -> None:
    activation = built(reference, channels=3)
    again = type(activation)(activation.channels, activation.channel_axis, **activation.options())
    assert again.options() == activation.options()
    x = torch.randn(4, 3)
    assert torch.equal(again(x), activation(x))


@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=lambda kind: kind.__name__)
def test_its_docstring_names_formula_and_source(kind: type[Activation]) -> None:
    first_line, *rest = (kind.__doc__ or "").splitlines()
    assert ": " in first_line
    assert any("Source:" in line and "20" in line for line in rest)

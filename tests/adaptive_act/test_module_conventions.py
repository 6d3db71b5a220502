"""Every activation as a module of torch.nn: devices, dtypes, reset, graphs of torch.fx, two derivatives."""

from collections.abc import Iterator
from typing import cast

import pytest
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.ao.quantization import get_default_qat_qconfig_mapping
from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
from torch.ao.quantization.quantize_fx import convert_fx, prepare_qat_fx

from adaptive_act import ACTIVATIONS, Activation, APReLU, DYReLU, FixedPointError, PReLU, swap

CHANNELS = 3
SMALL = [(name, None) for name, kind in ACTIVATIONS.items() if kind.elementwise]
CASES = [*SMALL, *((name, CHANNELS) for name in ACTIVATIONS)]

every_case = pytest.mark.parametrize(
    ("name", "channels"), CASES, ids=[f"{name}-{'shared' if c is None else 'channels'}" for name, c in CASES]
)
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


@pytest.fixture
def default_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_moved(name: str, channels: int | None) -> Activation:
    """The activation in float64 and evaluation mode, away from its start."""
    activation = ACTIVATIONS[name](channels).double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.3)
    return activation


def make_images(*, requires_grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, CHANNELS, 3, 3, generator=generator, dtype=torch.float64) * 2
    return x.requires_grad_(requires_grad)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


@every_case
def test_it_is_built_on_the_device_and_in_the_dtype_asked_for(name: str, channels: int | None) -> None:
    activation = ACTIVATIONS[name](channels, device="meta", dtype=torch.bfloat16)
    assert {(t.device.type, t.dtype) for t in tensors_of(activation).values()} == {("meta", torch.bfloat16)}
    assert type(activation).__name__ in repr(activation)


@every_activation
def test_it_is_built_on_the_default_device(name: str) -> None:
    with torch.device("meta"):
        activation = ACTIVATIONS[name](CHANNELS)
    assert all(tensor.is_meta for tensor in activation.state_dict().values())


@pytest.mark.usefixtures("default_float64")
@every_activation
def test_it_is_built_in_the_default_dtype(name: str) -> None:
    tensors = tensors_of(ACTIVATIONS[name](CHANNELS))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float64}


@every_case
def test_a_reset_gives_the_start_back(name: str, channels: int | None) -> None:
    torch.manual_seed(0)
    activation = ACTIVATIONS[name](channels)
    start = {key: tensor.clone() for key, tensor in activation.state_dict().items()}
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(1)
    torch.manual_seed(0)
    activation.reset_parameters()
    assert all(torch.equal(tensor, start[key]) for key, tensor in activation.state_dict().items())


@every_activation
def test_a_module_without_storage_is_made_real(name: str) -> None:
    """As a sharded model is built: on the meta device, then empty, then each module resets what it holds."""
    for plain in ACTIVATIONS[name].fixed_points:
        stands = nn.PReLU(CHANNELS) if plain is nn.PReLU else plain()
        activation = ACTIVATIONS[name].at_fixed_point(stands, CHANNELS, device="meta")
        activation.to_empty(device="cpu")
        for tensor in activation.state_dict().values():
            tensor.fill_(77)
        for module in activation.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        x = make_images().float()
        torch.testing.assert_close(activation.eval()(x), stands(x), rtol=1e-6, atol=1e-6)


@every_case
def test_it_runs_on_tensors_without_numbers(name: str, channels: int | None) -> None:
    """As tools do that plan memory: on the meta device, and under a mode that keeps shapes only."""
    on_meta = ACTIVATIONS[name](channels, device="meta")(torch.empty(2, CHANNELS, 3, 3, device="meta"))
    with FakeTensorMode():
        fake = ACTIVATIONS[name](channels)(torch.empty(2, CHANNELS, 3, 3))
    assert on_meta.shape == fake.shape == (2, CHANNELS, 3, 3)


def test_each_channel_is_reset_to_its_own_start() -> None:
    activation = PReLU(2, a=[0.1, 0.3])
    nn.init.zeros_(activation.get_parameter("a"))
    activation.reset_parameters()
    assert torch.equal(activation.get_parameter("a").detach(), torch.tensor([0.1, 0.3]))


def test_a_swapped_activation_is_reset_to_its_fixed_point() -> None:
    activation = PReLU.at_fixed_point(nn.LeakyReLU(0.2))
    nn.init.zeros_(activation.get_parameter("a"))
    activation.reset_parameters()
    assert activation.values()["a"].item() == pytest.approx(0.2)


def test_a_fixed_point_is_found_whatever_the_default_device() -> None:
    with torch.device("meta"):
        activation = PReLU.at_fixed_point(nn.LeakyReLU(0.2))
        swapped = swap(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), {nn.ReLU: PReLU}).model
        with pytest.raises(FixedPointError, match="differs by"):
            ACTIVATIONS["PELU"].at_fixed_point(nn.ELU(0.5))
    assert activation.get_parameter("a").is_meta
    assert all(parameter.is_meta for parameter in swapped.parameters())


def test_a_start_on_the_meta_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`PReLU.a` cannot start at a tensor on the meta device"):
        PReLU(a=torch.ones(1, device="meta"))


@every_case
def test_torch_fx_traces_it(name: str, channels: int | None) -> None:
    activation = make_moved(name, channels)
    traced = fx.symbolic_trace(activation)
    assert not any(isinstance(module, Activation) for module in traced.modules())
    x = make_images(requires_grad=True)
    inputs = (x, *activation.parameters())
    expected, actual = activation(x), traced(x)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad(y.square().sum(), inputs, allow_unused=True) for y in (actual, expected))
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.jit, within torch
@every_case
def test_torchscript_compiles_its_graph(name: str, channels: int | None) -> None:
    activation = make_moved(name, channels)
    scripted = torch.jit.script(fx.symbolic_trace(activation))
    x = make_images(requires_grad=True)
    inputs = (x, *activation.parameters())
    expected, actual = activation(x), scripted(x)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad(y.square().sum(), inputs, allow_unused=True) for y in (actual, expected))
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_told_to_take_the_graph() -> None:
    model = nn.Sequential(nn.Linear(3, 3), PReLU())
    with pytest.raises(TypeError, match=r"`PReLU` cannot be scripted .*torch.jit.script\(torch.fx.symbolic"):
        torch.jit.script(model)
    assert isinstance(model[1], PReLU)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.ao, within torch
@pytest.mark.parametrize("name", ["PReLU", "SReLU", "Dice"])
def test_quantisation_aware_training_keeps_it_in_float(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), ACTIVATIONS[name](4), nn.Conv2d(4, 2, 3))
    x = torch.randn(4, 3, 9, 9)
    kept = PrepareCustomConfig().set_non_traceable_module_classes(list(ACTIVATIONS.values()))
    mapping = get_default_qat_qconfig_mapping("x86")
    prepared = prepare_qat_fx(model.train(), mapping, (x,), prepare_custom_config=kept)
    prepared(x).square().mean().backward()
    assert all(parameter.grad is not None for parameter in prepared.get_submodule("2").parameters())
    quantised = convert_fx(prepared.eval())
    difference = (quantised(x) - prepared(x)).abs().max() / prepared(x).abs().max()
    assert 0 < difference < 0.1


@pytest.mark.parametrize("kind", [kind for kind in ACTIVATIONS.values() if not kind.elementwise])
def test_a_traced_normalisation_follows_the_mode(kind: type[Activation]) -> None:
    torch.manual_seed(0)
    activation = kind(CHANNELS)
    traced = fx.symbolic_trace(activation)
    assert {id(p) for p in traced.parameters()} == {id(p) for p in activation.parameters()}
    for training in (True, False):
        activation.train(training)
        traced.train(training)
        x = make_images().float()
        torch.testing.assert_close(traced(x), activation(x))


def test_a_traced_activation_still_checks_its_channels() -> None:
    traced = fx.symbolic_trace(nn.Sequential(PReLU(CHANNELS)))
    with pytest.raises(ValueError, match="`PReLU` learned 3 channels along axis 1, got an input of shape"):
        traced(torch.zeros(2, 4))


def test_half_precision_is_widened_in_a_traced_graph() -> None:
    activation = ACTIVATIONS["SLAF"](a4=1.0).half()
    x = torch.tensor([-3.0, 10.0], dtype=torch.float16)
    assert torch.equal(fx.symbolic_trace(activation)(x), activation(x))


@every_case
def test_it_can_be_differentiated_twice(name: str, channels: int | None) -> None:
    activation = make_moved(name, channels)
    names, parameters = zip(*activation.named_parameters(), strict=True)
    x = make_images()[:1, :, :2, :2].clone().requires_grad_()

    def value(x: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(names, parameters, strict=True))
        called: Tensor = torch.func.functional_call(activation, named, (x,))
        return called

    assert torch.autograd.gradgradcheck(value, (x, *parameters), fast_mode=True)


def test_networks_inside_start_at_zero_after_a_reset_of_their_own() -> None:
    for activation, layer in ((DYReLU(4), "excite"), (APReLU(4), "excite_norm")):
        module = cast(nn.Linear, activation.get_submodule(layer))
        module.reset_parameters()
        assert not module.weight.any()

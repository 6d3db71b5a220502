"""The activations that look at more of their input than one place, in every layout that they take."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from adaptive_act import ACTIVATIONS, Activation, Dice, DYReLU, Funnel, MetaACON, swap
from tests.adaptive_act.processes import in_two_processes
from tests.adaptive_act.references.input_dependent import PAPERS, Array

CHANNELS = 3
LAYOUTS = {
    "rows": ((5, 3), 1),
    "series": ((4, 3, 6), 1),
    "tokens": ((4, 6, 3), -1),
    "images": ((4, 3, 5, 6), 1),
    "images, channels last": ((2, 4, 5, 3), -1),
}
KINDS = [kind for kind in ACTIVATIONS.values() if not kind.elementwise]
FIXED_POINTS = [(kind, plain) for kind in KINDS for plain in kind.fixed_points]
CASES = [(kind, name) for kind in KINDS for name in LAYOUTS if not (kind is Funnel and name != "images")]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
every_case = pytest.mark.parametrize(
    ("kind", "layout"), CASES, ids=lambda case: getattr(case, "__name__", case)
)


def built(kind: type[Activation], layout: str = "images") -> Activation:
    torch.manual_seed(0)
    return kind(CHANNELS, LAYOUTS[layout][1]).double()


def moved(kind: type[Activation], layout: str = "images") -> Activation:
    """In evaluation mode, away from its start, as after some training."""
    activation = built(kind, layout)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.4)
        for name, buffer in activation.named_buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer) if "var" in name else torch.randn_like(buffer))
    return activation.eval()


def given(layout: str = "images", seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(LAYOUTS[layout][0], dtype=torch.float64, generator=generator) * 2


def of_the_paper(activation: Activation, x: Tensor, layout: str) -> Array:
    """What the paper's formula gives, in x's own layout; all but Funnel's sees [N, C, places]."""
    state = {name: tensor.numpy() for name, tensor in activation.state_dict().items()}
    first = np.moveaxis(x.numpy(), LAYOUTS[layout][1], 1)
    flat = first if isinstance(activation, Funnel) else first.reshape(*first.shape[:2], -1)
    value = PAPERS[type(activation)](flat, state).reshape(first.shape)
    return np.moveaxis(value, 1, LAYOUTS[layout][1])


def test_every_input_dependent_activation_has_a_reference() -> None:
    assert set(PAPERS) == set(KINDS)


@every_case
def test_the_value_is_the_papers(kind: type[Activation], layout: str) -> None:
    activation, x = moved(kind, layout), given(layout)
    expected = of_the_paper(activation, x, layout)
    np.testing.assert_allclose(activation(x).detach().numpy(), expected, rtol=1e-12, atol=1e-13)


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_the_value(kind: type[Activation], layout: str, training: bool) -> None:
    activation, x = moved(kind, layout).train(training), given(layout).requires_grad_()
    names, parameters = zip(*activation.named_parameters(), strict=True)

    def value(x: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        called: Tensor = torch.func.functional_call(activation, state, (x,))
        return called

    assert torch.autograd.gradcheck(value, (x, *parameters), fast_mode=True)


@pytest.mark.parametrize(("kind", "plain"), FIXED_POINTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("training", [False, True])
def test_it_equals_the_plain_activation_at_its_fixed_point(
    kind: type[Activation], plain: type[nn.Module], training: bool
) -> None:
    stands = nn.PReLU(CHANNELS) if plain is nn.PReLU else plain()
    activation = kind.at_fixed_point(stands, channels=CHANNELS).train(training)
    x = torch.cat([given().float(), torch.tensor([0.0, 1e-8, -1e-8, 1e4, -1e4] * 18).reshape(1, 3, 5, 6)])
    if plain is nn.SiLU:  # the same function in other operators, which round differently in the last place
        torch.testing.assert_close(activation(x), stands(x), rtol=2.5e-7, atol=6e-8)
    else:
        assert torch.equal(activation(x), stands(x))


@every_kind
def test_everything_in_it_learns_from_its_start(kind: type[Activation]) -> None:
    activation = built(kind)
    start = {name: parameter.detach().clone() for name, parameter in activation.named_parameters()}
    optimizer = torch.optim.SGD(activation.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (activation(given()) - given(seed=2)).square().mean().backward()
        optimizer.step()
    assert [name for name, p in activation.named_parameters() if torch.equal(p, start[name])] == []


@every_kind
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_at_the_extremes(
    kind: type[Activation], training: bool, dtype: torch.dtype
) -> None:
    activation = moved(kind).to(dtype).train(training)
    extremes = torch.tensor([0.0, 1e-8, -1e-8, 100.0, -100.0, 1e4, -1e4, 1.0] * 12)
    x = extremes.reshape(2, 3, 4, 4).to(dtype).requires_grad_()
    y = activation(x)
    y.sum().backward()
    assert y.dtype is dtype
    for tensor in (y, x.grad, *(parameter.grad for parameter in activation.parameters())):
        assert tensor is not None
        assert tensor.isfinite().all()


@every_kind
def test_float32_weights_take_half_precision_inputs(kind: type[Activation]) -> None:
    activation, x = moved(kind).float(), given()
    y = activation(x.bfloat16())
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.double(), activation.double()(x), rtol=0.05, atol=0.05)


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_it_compiles_into_one_graph(kind: type[Activation], training: bool) -> None:
    torch.compiler.reset()
    activation, x = moved(kind).float().train(training), given().float()
    compiled = torch.compile(activation, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), activation(x), rtol=1e-5, atol=1e-6)


def test_dice_uses_batch_then_running_statistics() -> None:
    activation, x = built(Dice), given()
    trained = activation.train()(x)
    mean, spread = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(trained, x * torch.sigmoid((x - mean) / spread), rtol=1e-6, atol=1e-7)
    for _ in range(60):
        activation(x)
    torch.testing.assert_close(activation.eval()(x), trained, rtol=1e-2, atol=1e-2)


@every_kind
def test_the_last_sample_of_an_epoch_trains_alone(kind: type[Activation]) -> None:
    activation = moved(kind).train()
    x = torch.tensor([[0.3, -0.7, 2.0]], dtype=torch.float64)
    alone = x[:, :, None, None] if kind is Funnel else x
    assert torch.equal(activation(alone), activation.eval()(alone))


@every_case
def test_the_state_dict_and_the_options_restore_it(kind: type[Activation], layout: str) -> None:
    activation, x = moved(kind, layout), given(layout)
    again = kind(activation.channels, activation.channel_axis, **activation.options()).double().eval()
    again.load_state_dict(activation.state_dict())
    assert again.options() == activation.options()
    assert torch.equal(again(x), activation(x))


@every_kind
def test_folding_keeps_weights_and_value(kind: type[Activation]) -> None:
    activation, x = moved(kind), given()
    folded = activation.folded()
    assert [name for name, _ in folded.named_parameters() if "." not in name] == []
    assert torch.equal(folded(x), activation(x))


@every_kind
def test_its_curve_is_what_a_constant_input_gives(kind: type[Activation]) -> None:
    activation, points = moved(kind), torch.linspace(-4, 4, 9, dtype=torch.float64)
    images = points.reshape(-1, 1, 1, 1).expand(-1, CHANNELS, 7, 7)
    torch.testing.assert_close(activation.curve(points), activation(images)[:, :, 3, 3].T.detach())


@pytest.mark.parametrize(("kind", "plain"), FIXED_POINTS, ids=lambda kind: kind.__name__)
def test_a_swap_sets_channels_and_keeps_outputs(kind: type[Activation], plain: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), plain(), nn.Conv2d(5, 2, 3))
    x = torch.randn(2, 2, 8, 8)
    activation = (swapped := swap(model, {plain: kind}, example=x).model).get_submodule("1")
    assert isinstance(activation, kind)
    assert activation.channels == 5
    torch.testing.assert_close(swapped(x), model(x), rtol=1e-6, atol=1e-6)


@every_kind
def test_it_asks_for_its_channels(kind: type[Activation]) -> None:
    with pytest.raises(ValueError, match=f"`{kind.__name__}` looks at the channels.*pass `channels=`"):
        kind()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: DYReLU(3)(torch.zeros(2, 4)), "3 channels along axis 1 of a batch.*\\[2, 4\\]"),
        (lambda: Dice(3)(torch.zeros(2, 4, 4)), "3 channels along axis 1"),
        (lambda: MetaACON(3, 0)(torch.zeros(3, 2)), "3 channels along axis 0"),
        (lambda: Funnel(3)(torch.zeros(2, 3)), "images \\[batch, 3, height, width\\].*\\[2, 3\\]"),
        (lambda: Funnel(3, -1), "along axis 1, got axis -1"),
        (lambda: DYReLU(3, reduction=0), "a reduction of at least 1, got 0"),
    ],
)
def test_wrong_shapes_and_arguments_are_named(run: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.slow
def test_two_processes_keep_the_same_weights(tmp_path: Path) -> None:
    in_two_processes(_one_of_two, tmp_path)


def _one_of_two(rank: int, _: Path) -> None:
    model = DistributedDataParallel(nn.Sequential(*(built(kind) for kind in KINDS)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        (model(given(seed=2 * seed + rank)) - 1).square().mean().backward()
        optimizer.step()
    for parameter in model.parameters():
        both = [torch.empty_like(parameter) for _ in range(2)]
        torch.distributed.all_gather(both, parameter.detach())
        assert torch.equal(both[0], both[1])
        assert both[0].isfinite().all()

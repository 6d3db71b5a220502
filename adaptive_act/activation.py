"""What all activations share: learned parameters, shared by a layer or one per channel."""

import copy
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, fx, nn
from torch.types import Device

from adaptact.report.notebook import show_curves
from adaptive_act import layout
from adaptive_act.errors import FixedPointError
from adaptive_act.learned import Learned, StartValue
from adaptive_act.site import Site

# A fixed point is accepted when the two curves differ by no more than this on PROBE: the rounding of a
# differently written but equal formula is far below it, any real difference far above.
SAME = 1e-6
PROBE = torch.tensor(
    [*(k / 10 for k in range(-80, 81)), 0.0, 1e-8, -1e-8, 30.0, -30.0], dtype=torch.float64, device="cpu"
)


class Activation(nn.Module):
    """An elementwise function with learned parameters, shared by the layer or one per channel.

    A subclass declares `learned` and writes `formula`; storage, broadcasting, positivity, fixed points and
    folding follow from these. The output has the input's shape and dtype.

    `channels=None` shares each parameter over the layer; `channels=C` learns C of each, along
    `channel_axis` of the input. Keyword arguments named as the parameters set their starting values;
    `device` and `dtype` are what they are in torch's own modules. Parameters are stored 1-D, [1] or [C], so
    that "no decay for vectors" rules exempt them.
    """

    learned: ClassVar[Mapping[str, Learned]]
    fixed_points: ClassVar[Mapping[type[nn.Module], Mapping[str, float | str]]] = {}
    """Plain activation -> parameter values at which this equals it; a string names an attribute of it."""
    onnx_ops: ClassVar[tuple[str, ...]]
    """The operators that the exported file holds for it: shared parameters, float32, default opset."""
    site: Site | None = None
    """Where `swap` put it; None where it was built by hand."""
    formula: Callable[..., Tensor]
    """The activation of x from x and the learned parameters, each broadcastable to x."""

    elementwise: ClassVar[bool] = True
    """Whether each output depends only on the input at the same place."""

    in_float32: ClassVar[bool] = False
    """Whether half precision is computed in float32: high powers of x overflow where their sum does not."""

    def __init_subclass__(cls) -> None:
        arguments = list(inspect.signature(cls.formula).parameters.values())[2:]
        named = [argument.name for argument in arguments if argument.kind is not argument.VAR_KEYWORD]
        takes_the_rest = len(named) < len(arguments)
        if named != list(cls.learned)[: len(named) if takes_the_rest else None]:
            raise TypeError(f"`{cls.__name__}.formula` takes {named}, but it declares {list(cls.learned)}")
        if "forward" not in vars(cls):
            cls.forward = _make_own_forward(cls)  # type: ignore[method-assign, assignment]

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        super().__init__()
        unknown = set(values) - set(self.learned)
        if unknown:
            raise TypeError(
                f"`{type(self).__name__}` has no parameter {sorted(unknown)}; it learns {list(self.learned)}"
            )
        _require_channel_count(type(self), channels)
        self.channels = channels
        self.channel_axis = channel_axis
        self._starts: dict[str, list[float]] = {}
        for name, parameter in self.learned.items():
            where = f"{type(self).__name__}.{name}"
            self._starts[name] = parameter.check_start(values.get(name), channels, where)
            stored = nn.Parameter(torch.empty(channels or 1, device=device, dtype=dtype))
            self.register_parameter(parameter.stored_name(name), stored)
        Activation.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Gives the learned values, and the modules inside, the start with which they were built."""
        for name, parameter in self.learned.items():
            stored = self._parameters.get(parameter.stored_name(name))
            if stored is not None:  # a folded one holds constants
                parameter.store(self._starts[name], stored)
        for child in self.children():
            if callable(reset := getattr(child, "reset_parameters", None)):
                reset()

    def forward(self, x: Tensor) -> Tensor:
        """The formula at the learned values; x has any shape with `channels` along `channel_axis`."""
        wide = widen(x) if self.in_float32 else x
        values = {name: self._broadcast(self._value(name), wide) for name in self.learned}
        return self.formula(wide, **values).to(x.dtype)

    @property
    def place(self) -> layout.Place:
        """The axis on which the channels lie, their number (0 where shared), and the activation's name."""
        return self.channel_axis, self.channels or 0, type(self).__name__

    def __prepare_scriptable__(self) -> Self:
        # torch would put what is returned here into the caller's model, in this activation's place.
        raise TypeError(
            f"`{type(self).__name__}` cannot be scripted from its source, but from its graph: "
            "`torch.jit.script(torch.fx.symbolic_trace(model))`"
        )

    def calibrate(self, x: Tensor) -> None:
        """Sets what depends on the range of the data, such as bounds, from one input; most set nothing."""

    def options(self) -> dict[str, Any]:
        """The JSON-able constructor arguments, besides channels and values, that make an equal activation."""
        return {}

    def values(self) -> dict[str, Tensor]:
        """The learned values as they act, each 1-D ([1] or [C]), detached; a learned base's as `base.x`."""
        own = {name: self._value(name).detach().clone() for name in self.learned}
        for child_name, child in self.named_children():
            if isinstance(child, Activation):
                own |= {f"{child_name}.{name}": value for name, value in child.values().items()}
        return own

    def curve(self, points: Tensor) -> Tensor:
        """The activation at `points` [n] in each channel: [C, n], or [1, n] if shared; float64, on the CPU.

        An activation that is not elementwise gets a constant map, in evaluation mode.
        """
        twin = copy.deepcopy(self).to("cpu", torch.float64).eval()
        for module in twin.modules():
            if isinstance(module, Activation):
                module.channel_axis = 1
        columns = points.to("cpu", torch.float64).reshape(-1, 1).expand(-1, self.channels or 1)
        with torch.no_grad():
            values: Tensor = twin.forward(columns)  # hooks would see the points as data
        return values.T.contiguous()

    def folded(self) -> Self:
        """A copy whose learned values are constant buffers; it has no parameters."""
        folded = copy.deepcopy(self)
        for name, parameter in self.learned.items():
            if parameter.stored_name(name) in folded._parameters:
                delattr(folded, parameter.stored_name(name))
                folded.register_buffer(_constant_name(name), self._value(name).detach().clone())
        for name, child in self.named_children():
            if isinstance(child, Activation):
                setattr(folded, name, child.folded())
        return folded

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        """The options with which this activation can stand in for `plain`."""
        return {}

    @classmethod
    def at_fixed_point(
        cls,
        plain: nn.Module,
        channels: int | None = None,
        channel_axis: int = 1,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> Self:
        """An activation that equals `plain` (within 1e-6 everywhere on [-30, 30]; most are exact).

        Raises FixedPointError where no parameter values do that.
        """
        _require_channel_count(cls, channels)
        if chosen := [name for name in cls.learned if name in options]:
            raise FixedPointError(
                f"`{cls.__name__}` starts at the value of `{chosen[0]}` at which it equals `{plain}`: leave "
                f"`{chosen[0]}` out"
            )
        values = _read_point(cls, plain)
        sizes = [value.numel() for value in values.values() if isinstance(value, Tensor)]
        channels = max([channels or 1, *sizes]) if channels or max(sizes, default=1) > 1 else None
        dtype = dtype or torch.get_default_dtype()
        precise = torch.promote_types(dtype, torch.float32)
        options = cls.options_from(plain) | options | {"device": "cpu", "dtype": precise}
        activation = cls(channels, channel_axis, **options, **values)
        difference = _largest_difference(activation, plain)
        if not difference <= SAME:
            raise FixedPointError(
                f"`{cls.__name__}` equals `{plain}` at no parameter values (the nearest known differs by "
                f"{difference:.2g}); {_describe_fixed_points(cls)} with torch's default arguments"
            )
        return activation.to(torch.get_default_device() if device is None else device, dtype)

    def extra_repr(self) -> str:
        """The values, or their range over the channels."""
        shown = [f"{name}={_format_range(self._value(name))}" for name in self.learned]
        shown += [f"{name}={option!r}" for name, option in self.options().items()]
        per_channel = [f"channels={self.channels}, axis={self.channel_axis}"] if self.channels else []
        return ", ".join(per_channel + shown)

    def _repr_html_(self) -> str:  # notebooks
        points = torch.linspace(-4, 4, 161, dtype=torch.float64)
        return show_curves(repr(self), points.tolist(), self.curve(points).cpu().tolist())

    def _value(self, name: str) -> Tensor:
        parameter = self.learned[name]
        constant: Tensor | None = self._buffers.get(_constant_name(name))
        if constant is not None:
            return constant
        return parameter.value_of(getattr(self, parameter.stored_name(name)))

    def _broadcast(self, value: Tensor, x: Tensor) -> Tensor:
        """`value` in x's dtype, shaped to meet x: [] when shared, [C, 1, ...] per channel."""
        if self.channels is None:
            return value.to(x.dtype).reshape(())
        return layout.spread(value, x, self.place)


# A single step in a graph of torch.fx, where an input has no dtype.
@fx.wrap
def widen(x: Tensor) -> Tensor:
    """x in float32 where it is in half precision, else x."""
    return x.float() if x.dtype in [torch.float16, torch.bfloat16] else x


def named_activations(model: nn.Module) -> dict[str, Activation]:
    """The adaptive activations in `model` by layer name, under every name; the base of one is not listed."""
    activations: dict[str, Activation] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        inside = any(not outer or name.startswith(f"{outer}.") for outer in activations)
        if isinstance(module, Activation) and not inside:
            activations[name] = module
    return activations


def _require_channel_count(kind: type[Activation], channels: object) -> None:
    """Raises ValueError for anything but a whole number from 1 up, or None for shared parameters."""
    if channels is None:
        return
    if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
        raise ValueError(
            f"`{kind.__name__}` expects channels from 1 up, or None for shared parameters, got `{channels}`"
        )


def _make_own_forward(cls: type[Activation]) -> Callable[[Activation, Tensor], Tensor]:
    """A copy of `Activation.forward` with its own code object: torch.compile limits the forms of each one."""
    shared = Activation.forward
    code = shared.__code__.replace(co_qualname=f"{cls.__qualname__}.forward")
    own = types.FunctionType(code, shared.__globals__, shared.__name__)
    own.__doc__, own.__annotations__ = shared.__doc__, shared.__annotations__
    return own


def _constant_name(name: str) -> str:
    return f"{name}_constant"


def _read_point(cls: type[Activation], plain: nn.Module) -> dict[str, Any]:
    """The values at which `cls` may equal `plain`; raises FixedPointError where it declares none."""
    point = cls.fixed_points.get(type(plain))
    if point is None:
        raise FixedPointError(
            f"`{cls.__name__}` has no fixed point at `{plain}`; {_describe_fixed_points(cls)}"
        )
    values: dict[str, Any] = {
        name: getattr(plain, v) if isinstance(v, str) else v for name, v in point.items()
    }
    for name, value in values.items():
        if cls.learned[name].positive and not (torch.as_tensor(value, device="cpu") > 0).all():
            raise FixedPointError(
                f"`{cls.__name__}` equals `{plain}` at no parameter values: `{name}` would not be above 0"
            )
    return values


def _largest_difference(activation: Activation, plain: nn.Module) -> float:
    """The largest |activation - plain| on PROBE over all channels, in float64."""
    points = PROBE.reshape(-1, 1).repeat(1, activation.channels or 1)  # a copy: `plain` may work in place
    with torch.no_grad():
        expected = copy.deepcopy(plain).to("cpu", torch.float64).forward(points).T
    return float((activation.curve(PROBE) - expected).abs().max())


def _describe_fixed_points(cls: type[Activation]) -> str:
    names = ", ".join(f"`{plain.__name__}`" for plain in cls.fixed_points)
    return f"it has one at {names}" if names else "it has none at any plain torch activation"


def _format_range(value: Tensor) -> str:
    if value.is_meta:
        return "?"
    low, high = value.detach().min().item(), value.detach().max().item()
    return f"{low:.4g}" if low == high else f"{low:.4g}..{high:.4g}"

"""Which plain activation a module computes, whatever library it comes from."""

import contextlib
import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.activation import PROBE, SAME
from adaptive_act.plain import PLAIN
from adaptive_act.swapping.forwards import UNTRACEABLE

Kinds = Mapping[type[nn.Module], Any]
"""The plain activations that are searched for; their values are not used here."""
# An activation is elementwise: its values do not depend on the shape of its input or on other elements.
_SHAPES = ((-1,), (2, -1), (1, -1, 2), (1, 2, -1, 1))
# Far out, one that is clipped differs; farther, formulas that are written out overflow, such as Mish's.
_POINTS = torch.cat([PROBE, PROBE.new_tensor([100.0, -100.0, 300.0, -300.0])])
_PROBES = (*(_POINTS.reshape(shape) for shape in _SHAPES), _POINTS[_POINTS > 0], _POINTS[_POINTS < 0])
_PARAMETRISED = torch.nn.utils.parametrize.__name__  # the module of the classes that torch makes for it
_PLAIN_KINDS = {plain.module: plain for plain in PLAIN.values()}


def is_defined_by_torch(module: nn.Module) -> bool:
    """Whether torch itself defines the module's class, on which a parametrisation may have put another."""
    kinds = (kind for kind in type(module).__mro__ if kind.__module__ != _PARAMETRISED)
    return next(kinds).__module__.startswith("torch.nn.")


class Recogniser:
    """Finds which of the plain activations in `kinds` a module computes; results are cached.

    Torch's own classes are known by their type. Any other class that holds no parameters and no modules is
    known by what it computes: it must equal the plain activation on a probe, in training and in evaluation.
    So `timm.layers.GELU` or a class of your own is found, and a class that only has the name is not.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self._known: dict[nn.Module, tuple[type[nn.Module], nn.Module] | None] = {}

    def __call__(self, module: nn.Module) -> tuple[type[nn.Module], nn.Module] | None:
        """The member of `kinds`, and the plain module that equals this one; None where there is none."""
        if module not in self._known:
            self._known[module] = self._recognise(module)
        return self._known[module]

    def _recognise(self, module: nn.Module) -> tuple[type[nn.Module], nn.Module] | None:
        kind = type(module)
        if kind in self.kinds:
            named_by_its_own_class = kind not in _PLAIN_KINDS and not is_defined_by_torch(module)
            equal = _find_equal(module, list(_PLAIN_KINDS)) if named_by_its_own_class else None
            return kind, equal or _make_out_of_place(module)
        equal = None if is_defined_by_torch(module) else _find_equal(module, list(self.kinds))
        return None if equal is None else (type(equal), equal)


def _find_equal(module: nn.Module, kinds: list[type[nn.Module]]) -> nn.Module | None:
    """The plain activation among `kinds` whose values the module has on the probe."""
    if not _may_be_activation(module):
        return None
    questions = [(probe, training) for probe in _PROBES for training in (True, False)]
    answers = [_run_probe(module, *question) for question in questions]
    if any(answer is None for answer in answers):
        return None
    for plain in (candidate for kind in kinds for candidate in _candidates(kind, module)):
        if all(
            _is_close(a, _run_probe(plain, *question)) for a, question in zip(answers, questions, strict=True)
        ):
            return plain.train(module.training)
    return None


def _make_out_of_place(module: nn.Module) -> nn.Module:
    """The same activation, leaving its input as it is; `module` where it does so already."""
    if not getattr(module, "inplace", False):
        return module
    twin = copy.copy(module)
    twin.inplace = False  # type: ignore[assignment]  # a module's attribute, to mypy a tensor or a module
    return twin


def _may_be_activation(module: nn.Module) -> bool:
    """Whether it takes one tensor and holds only what a plain activation may hold."""
    own = isinstance(module, nn.PReLU) and module.weight.numel() == 1
    if isinstance(module, torch.jit.ScriptModule) or next(module.children(), None) is not None:
        return False
    if not own and next(_parameters_and_buffers(module), None) is not None:
        return False
    arguments = list(inspect.signature(module.forward).parameters.values())
    needed = [a for a in arguments if a.default is a.empty and a.kind is not a.VAR_KEYWORD]
    return len(needed) == 1 and needed[0].kind in (needed[0].POSITIONAL_ONLY, needed[0].POSITIONAL_OR_KEYWORD)


def _parameters_and_buffers(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _run_probe(module: nn.Module, probe: Tensor, training: bool) -> Tensor | None:
    """The module's output on the probe, or None where it fails; its state does not change."""
    twin = copy.deepcopy(module).cpu().double().train(training)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            answer = twin.forward(probe.clone())
    except UNTRACEABLE:
        return None
    fits = isinstance(answer, Tensor) and answer.shape == probe.shape and answer.dtype == probe.dtype
    return answer if fits else None


def _is_close(answer: Tensor | None, expected: Tensor | None) -> bool:
    return answer is not None and expected is not None and bool((answer - expected).abs().max() <= SAME)


def _candidates(kind: type[nn.Module], module: nn.Module) -> Iterator[nn.Module]:
    """Modules of `kind` with the arguments that the module may have."""
    if kind is nn.PReLU and isinstance(module, nn.PReLU):
        plain = nn.PReLU()
        plain.weight = module.weight
        yield plain
    if kind is nn.Identity:
        yield nn.Identity()
    if kind in _PLAIN_KINDS:
        names = _PLAIN_KINDS[kind].arguments
        own = {name: getattr(module, name, None) for name in names}
        with contextlib.suppress(
            AssertionError, TypeError, ValueError
        ):  # their names may mean something else
            yield kind(**{name: value for name, value in own.items() if isinstance(value, int | float | str)})
        yield kind()
    if kind is nn.GELU:
        yield nn.GELU("tanh")

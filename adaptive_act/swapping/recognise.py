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
"""The plain activations that are looked for; what they map to does not matter here."""
# An activation acts on each place alone: it answers the same in whatever shape and company the places come.
_SHAPES = ((-1,), (2, -1), (1, -1, 2), (1, 2, -1, 1))
_PROBES = (*(PROBE.clone().reshape(shape) for shape in _SHAPES), PROBE[PROBE > 0], PROBE[PROBE < 0])
_PLAIN_KINDS = {plain.module: plain for plain in PLAIN.values()}


def is_defined_by_torch(module: nn.Module) -> bool:
    """Whether torch itself defines the module's class."""
    return type(module).__module__.startswith("torch.nn.")


class Recogniser:
    """Finds out which of the plain activations in `kinds` a module computes; it answers for each once.

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
            self._known[module] = self._found(module)
        return self._known[module]

    def _found(self, module: nn.Module) -> tuple[type[nn.Module], nn.Module] | None:
        kind = type(module)
        if kind in self.kinds:
            named_by_its_own_class = kind not in _PLAIN_KINDS and not is_defined_by_torch(module)
            equal = _find_equal(module, list(_PLAIN_KINDS)) if named_by_its_own_class else None
            return kind, equal or _make_out_of_place(module)
        equal = None if is_defined_by_torch(module) else _find_equal(module, list(self.kinds))
        return None if equal is None else (type(equal), equal)


def _find_equal(module: nn.Module, kinds: list[type[nn.Module]]) -> nn.Module | None:
    """The plain activation among `kinds` whose values a stranger's module has on the probe."""
    if not _may_be_activation(module):
        return None
    asked = [(probe, training) for probe in _PROBES for training in (True, False)]
    given = [_run_probe(module, *question) for question in asked]
    if any(answer is None for answer in given):
        return None
    for plain in (candidate for kind in kinds for candidate in _candidates(kind, module)):
        if all(_is_close(a, _run_probe(plain, *question)) for a, question in zip(given, asked, strict=True)):
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
    """Whether it is called with one tensor and holds nothing that a plain activation does not hold."""
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
    """What the module answers on the probe, which it may not be made for; its state stays as it is."""
    twin = copy.deepcopy(module).cpu().double().train(training)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            answer = twin(probe.clone())
    except UNTRACEABLE:
        return None
    fits = isinstance(answer, Tensor) and answer.shape == probe.shape and answer.dtype == probe.dtype
    return answer if fits else None


def _is_close(answer: Tensor | None, expected: Tensor | None) -> bool:
    return answer is not None and expected is not None and bool((answer - expected).abs().max() <= SAME)


def _candidates(kind: type[nn.Module], module: nn.Module) -> Iterator[nn.Module]:
    """Modules of `kind` with the arguments that the stranger's module may have."""
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

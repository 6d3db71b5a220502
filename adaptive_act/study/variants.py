"""The variants that a study compares: how they are written, and how one is placed in a network."""

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from adaptact.suggestions import suggest
from adaptive_act.activation import Activation, named_activations
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.errors import FixedPointError, StudyError
from adaptive_act.plain import PLAIN, build
from adaptive_act.study.syntax import NamedOptions
from adaptive_act.swapping.find import find_sites
from adaptive_act.swapping.replace import swap
from adaptive_act.swapping.report import Swapped
from adaptive_act.training import calibrate

LINEAR = "Identity"
"""The identity: the network without a nonlinearity."""

_VARIANT = re.compile(r"(.*?)(\s+per channel)?(\s+frozen)?")


@dataclass(frozen=True, slots=True)
class Variant:
    """One activation with its options; learned or plain, shared or per channel, trained or frozen.

    Written `PReLU`, `NEAAF(side=both, gamma=0.05) per channel`, `PELU frozen`, `ELU`.
    """

    kind: NamedOptions
    per_channel: bool = False
    frozen: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The variant that `text` names; raises StudyError where it names none."""
        match = _VARIANT.fullmatch(text.strip())
        assert match is not None
        try:
            variant = cls(NamedOptions.parse(match[1]), bool(match[2]), bool(match[3]))
        except ValueError as error:
            raise StudyError(f"variant `{text}`: {error}") from error
        variant._check(text)
        return variant

    @property
    def learns(self) -> bool:
        """Whether it has learned parameters."""
        return self.kind.name in ACTIVATIONS

    def __str__(self) -> str:
        return f"{self.kind}{' per channel' if self.per_channel else ''}{' frozen' if self.frozen else ''}"

    def _check(self, text: str) -> None:
        if not self.learns:
            if self.per_channel or self.frozen:
                raise StudyError(f"variant `{text}`: a plain activation has no parameters to share or freeze")
            plain_activation(str(self.kind))
            return
        try:
            self.swap_kind()()
        except (TypeError, ValueError) as error:
            if ACTIVATIONS[self.kind.name].elementwise:
                raise StudyError(f"variant `{text}`: {error}") from error

    def swap_kind(self) -> "functools.partial[Activation]":
        """What `swap` is to put in."""
        options: Mapping[str, Any] = self.kind.options
        return functools.partial(ACTIVATIONS[self.kind.name], **options)


@dataclass(frozen=True, slots=True)
class PlacedVariant:
    """A network with a variant in it."""

    model: nn.Module
    parameters_added: int
    at_fixed_point: bool
    """Whether the network still computed what it did with the baseline when training began."""


def plain_activation(text: str) -> nn.Module:
    """The plain torch activation that `text` names, such as `LeakyReLU(negative_slope=0.1)`.

    Raises StudyError where it is unknown or has no such options.
    """
    try:
        named = NamedOptions.parse(text)
        return nn.Identity() if text == LINEAR else build({"name": named.name, **named.options})
    except (TypeError, ValueError) as error:
        known = f"plain: {', '.join(PLAIN)}, {LINEAR}; learned: {', '.join(ACTIVATIONS)}"
        name = text.partition("(")[0].strip()
        meant = None if name in PLAIN else suggest(name, [*PLAIN, LINEAR, *ACTIVATIONS])
        raise StudyError(f"unknown activation `{text}`; {meant or known}") from error


def place_variant(model: nn.Module, baseline: str, variant: Variant, example: Tensor) -> PlacedVariant:
    """The network with `variant` in place of its plain baseline; for a plain variant the network as given.

    A learned activation starts at its fixed point where it has one at the baseline, else at its own initial
    values, and what depends on the range of the data is placed by the example. The weights stay the same.
    `example` are training samples, by which channels are counted too. Raises StudyError where the variant
    cannot stand in this network, and SwapError where the network has no baseline in it.
    """
    if not variant.learns:
        return PlacedVariant(model, 0, at_fixed_point=str(variant) == baseline)
    try:
        swapped, preserved = _swap_in(model, baseline, variant, example)
    except ValueError as error:
        raise StudyError(f"variant `{variant}` does not fit the network: {error}") from error
    if variant.frozen:
        for activation in named_activations(swapped.model).values():
            activation.requires_grad_(False)
    return PlacedVariant(swapped.model, swapped.report.parameters_added, preserved)


def _swap_in(model: nn.Module, baseline: str, variant: Variant, example: Tensor) -> tuple[Swapped, bool]:
    """The network with the variant in it, and whether that is at its fixed point."""
    swaps = {type(plain_activation(baseline)): variant.swap_kind()}
    put_in = functools.partial(swap, model, swaps, per_channel=variant.per_channel, example=example)
    try:
        return put_in(preserve=True), True
    except FixedPointError:
        swapped = put_in(preserve=False)
    calibrate(swapped.model, [example])
    return swapped, False


def replace_plain(model: nn.Module, baseline: str, activation: str) -> nn.Module:
    """A copy of `model` with another plain activation in each module that is the baseline's.

    Raises StudyError where the model has none, or calls it as a function, which cannot be exchanged.
    """
    kind = type(plain_activation(baseline))
    sites, _ = find_sites(copy.deepcopy(model), {kind: kind})
    called = [site.site.layer for site in sites if site.site.call is not None]
    if called or not sites:
        raise StudyError(
            f"`{activation}` cannot take the place of `{baseline}`: expected modules `nn.{kind.__name__}` in "
            f"the network, got {f'calls of a function at {called}' if called else 'none'}"
        )
    changed = copy.deepcopy(model)
    for module in list(changed.modules()):
        for name, child in list(module.named_children()):
            if type(child) is kind:
                setattr(module, name, plain_activation(activation))
    return changed

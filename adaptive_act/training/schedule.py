"""Schedules of when the activations start to learn, how fast, and with which γ."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from torch import nn
from torch.optim import Optimizer

from adaptive_act.activation import named_activations
from adaptive_act.activations.blended import NEAAF
from adaptive_act.training.groups import find_activation_groups, learned_parameters

SCHEDULED_RATE = "scheduled_lr"
"""The key of a group's own rate while it steps at another."""


class Schedule(ABC):
    """Changes how activations train over the first `steps` optimiser steps; call `step()` after each.

    It acts from its construction, leaves the learning rates in the optimiser's groups alone, and can be used
    together with other schedules and with any of torch's.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"`{type(self).__name__}` expects at least 1 step, got {steps}")
        self.steps = steps
        self.done = 0
        self._act()

    def step(self) -> None:
        """Counts one step of the optimiser."""
        self.done += 1
        if self.done <= self.steps:
            self._act()

    def state_dict(self) -> dict[str, Any]:
        """The number of steps done."""
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state."""
        self.done = state["done"]
        self._act()

    @abstractmethod
    def _act(self) -> None:
        """Sets what holds after `done` steps."""


class Freeze(Schedule):
    """Keeps the learned parameters fixed for `steps` steps, then releases them.

    Meanwhile they have no gradient, so that no optimiser moves or remembers anything of them. Only what would
    train without it is released. A distributed wrapper settles at construction which parameters it
    synchronises: build it first and this after, with `find_unused_parameters=True`; or use
    `WarmUp(..., hold=steps)`, which needs nothing of the kind.

    Source: Jin et al. 2016, https://arxiv.org/abs/1512.07030, freezes SReLU's parameters in its first epochs.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self._held = [
            parameter for parameter in learned_parameters(model).values() if parameter.requires_grad
        ]
        super().__init__(steps)

    def _act(self) -> None:
        held = self.done < self.steps
        for parameter in self._held:
            parameter.requires_grad_(not held)
            if held:
                # An optimiser would still step along a gradient that is left here.
                parameter.grad = None


class WarmUp(Schedule):
    """Raises the activations' learning rate from zero to its own value over `steps` steps.

    The shape starts at its fixed point and departs from it slowly, while the weights adapt at full rate. The
    first `hold` of the steps stay at zero. It is a factor on whatever rate the group has. Raises ValueError
    where learned parameters share a group with weights, which would be slowed down as well.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, steps: int, hold: int = 0) -> None:
        if not 0 <= hold < steps:
            raise ValueError(f"`WarmUp` expects hold from 0 to {steps - 1}, got {hold}")
        self.hold = hold
        self._rate = RateFactor(optimizer, _find_own_groups(model, optimizer))
        super().__init__(steps)

    def close(self) -> None:
        """Removes its factor from the optimiser."""
        self._rate.close()

    def _act(self) -> None:
        self._rate.factor = min(max(self.done - self.hold, 0) / (self.steps - self.hold), 1.0)


class GammaRamp(Schedule):
    """Raises NEAAF's γ linearly from `start` to each activation's own value over `steps` steps.

    γ multiplies both the cubic term and the gradient of its weight β, so a small γ keeps early steps close
    to the base activation, where large ones diverge (Yevick 2024, https://arxiv.org/abs/2403.19896). As soon
    as β is not zero, a step changes the function that the model computes. A compiled model is compiled once
    more, for a γ that varies.

    Raises ValueError where the model has no NEAAF.
    """

    def __init__(self, model: nn.Module, steps: int, start: float = 0.0) -> None:
        self._activations = list(find_cubic_activations(model).values())
        if not self._activations:
            raise ValueError(f"`GammaRamp` found no NEAAF in `{type(model).__name__}`")
        self.start = start
        self.gammas = [activation.gamma for activation in self._activations]
        super().__init__(steps)

    def state_dict(self) -> dict[str, Any]:
        """The steps done and the final γ of each activation: a model saved half way holds the current γ."""
        return {**super().state_dict(), "gammas": self.gammas}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state."""
        self.gammas = list(state["gammas"])
        super().load_state_dict(state)

    def _act(self) -> None:
        share = min(self.done / self.steps, 1.0)
        for activation, gamma in zip(self._activations, self.gammas, strict=True):
            # Written so that the end is the activation's own value to the bit.
            set_gamma(activation, gamma - (1 - share) * (gamma - self.start))


class Schedules:
    """Several schedules, stepped as one."""

    def __init__(self, *schedules: Schedule) -> None:
        self.schedules = schedules

    def step(self) -> None:
        """Counts one step of the optimiser in each."""
        for schedule in self.schedules:
            schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of each."""
        return {"schedules": [schedule.state_dict() for schedule in self.schedules]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from the state of schedules of the same kinds in the same order."""
        for schedule, own_state in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(own_state)


class RateFactor:
    """A factor on the learning rate of some groups, or of all, in force only while `optimizer` steps.

    Between steps the groups show the rates that were given to them, so a scheduler that recomputes rates
    from where they began neither undoes the factor nor compounds it. Several factors on one group multiply.
    """

    def __init__(self, optimizer: Optimizer, groups: Sequence[int] | None = None) -> None:
        self.factor = 1.0
        self._optimizer, self._groups = optimizer, groups
        self._handles = [
            optimizer.register_step_pre_hook(self._apply),
            optimizer.register_step_post_hook(self._restore),
        ]

    def close(self) -> None:
        """Ends the factor's effect, also in a step that an error broke off."""
        for handle in self._handles:
            handle.remove()
        self._restore(self._optimizer)

    def _apply(self, optimizer: Optimizer, *_: Any) -> None:
        in_force = _IN_FORCE.setdefault(optimizer, WeakSet())
        if self in in_force:
            self._restore(optimizer)  # an error broke the step before off
        in_force.add(self)
        groups = optimizer.param_groups
        for group in groups if self._groups is None else [groups[index] for index in self._groups]:
            group.setdefault(SCHEDULED_RATE, group["lr"])
            group["lr"] = group["lr"] * self.factor

    def _restore(self, optimizer: Optimizer, *_: Any) -> None:
        """Gives all groups the rates from before all factors: the step is over for each of these."""
        _IN_FORCE.setdefault(optimizer, WeakSet()).clear()
        for group in optimizer.param_groups:
            if SCHEDULED_RATE in group:
                group["lr"] = group.pop(SCHEDULED_RATE)


_IN_FORCE: WeakKeyDictionary[Optimizer, WeakSet[RateFactor]] = WeakKeyDictionary()
"""The factors that act on an optimiser while it steps."""


def find_cubic_activations(model: nn.Module) -> dict[str, NEAAF]:
    """The activations of `model` that have a γ, by layer name."""
    return {
        name: activation
        for name, activation in named_activations(model).items()
        if isinstance(activation, NEAAF)
    }


def set_gamma(activation: NEAAF, gamma: float) -> None:
    """Sets γ in the activation and in its record, so that a checkpoint holds the current value."""
    activation.gamma = gamma
    if activation.site is not None:
        activation.site = replace(activation.site, options=activation.options())


def _find_own_groups(model: nn.Module, optimizer: Optimizer) -> list[int]:
    """The groups that hold learned parameters and nothing else."""
    learned = {id(parameter) for parameter in learned_parameters(model).values()}
    groups = find_activation_groups(model, optimizer)
    mixed = [g for g in groups if any(id(p) not in learned for p in optimizer.param_groups[g]["params"])]
    if mixed:
        raise ValueError(
            f"groups {mixed} of the optimiser hold more than learned parameters, which `WarmUp` would slow "
            f"down as well; build the optimiser with `parameter_groups`"
        )
    return groups

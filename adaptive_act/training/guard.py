"""The guard: watches a training run and rolls it back when it diverges."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from adaptive_act.errors import DivergedError
from adaptive_act.training.divergence import GRADIENT, LOSS, Alarm, DivergenceDetector, Options, reduce_worst
from adaptive_act.training.groups import find_activation_groups
from adaptive_act.training.hooks import ActivationHooks
from adaptive_act.training.schedule import RateFactor
from adaptive_act.training.snapshot import Snapshot

logger = logging.getLogger(__name__)

MISSING_NORM = -1.0
"""Below every norm, so that the largest over all processes is a norm where any has one."""

Action = Literal["suspected", "skipped", "rolled back", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """What the guard did at a step, the signal that caused it, and the activations' rate factor since."""

    step: int
    what: Action
    signal: str
    value: float
    limit: float
    rate: float

    def __str__(self) -> str:
        allowed = f"allowed {self.limit:.4g}" if math.isfinite(self.value) else "expected a finite number"
        return f"{self.what} at step {self.step}: {self.signal} is {self.value:.4g}, {allowed}"


class Guard:
    """Steps `optimizer` while the run is healthy; when it diverges, restores the last good state.

    It reads the loss, the norm of all gradients and, now and then, the largest output of each activation. A
    value that is not finite, or one far above what was normal several steps in a row, means divergence: the
    model and the optimiser's memory are put back as they were at the last state that was seen healthy, and
    the learning rate of the groups that hold learned parameters (of all, where none does) is lowered. `tries`
    such rollbacks are made in all; at the next divergence the state is put back once more and DivergedError
    is raised. A step whose gradient alone is far too large is skipped before that.

    Everything it does is in `events` and in the log. Learning rates in the optimiser's groups stay as they
    are: the lowered rate acts while the optimiser steps, under any scheduler. In a distributed run all
    processes decide on the worst values of any.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        tries: int = 3,
        options: Options | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        if tries < 0:
            raise ValueError(f"`Guard` expects 0 or more tries, got {tries}")
        self.tries = tries
        self.options = options or Options()
        self.events: list[Event] = []
        self.steps = 0
        self.rollbacks = 0
        self._model, self._optimizer, self._scaler = model, optimizer, scaler
        self._detector = DivergenceDetector(self.options)
        everything = range(len(optimizer.param_groups))
        self._rate = RateFactor(optimizer, find_activation_groups(model, optimizer) or everything)
        self._scales: dict[str, Tensor] = {}
        self._hooks = ActivationHooks(model, self._read_output)
        self._good = Snapshot(model, optimizer)
        self._good_step = 0

    @property
    def rate(self) -> float:
        """The factor on the activations' learning rate, 1 until the first rollback."""
        return self._rate.factor

    def step(self, loss: Tensor) -> bool:
        """True when the optimiser stepped; call it after `loss.backward()`, once for each optimiser step.

        False when the step was skipped or the run was rolled back; the gradients are cleared then. With a
        scaler the gradients must still be scaled, and `loss` is the one before scaling. With accumulated
        gradients `loss` is the sum or the mean of the parts. Raises DivergedError after `tries` rollbacks.
        """
        if self._scaler is None:
            healthy = self.check(loss)
            if healthy:
                self._optimizer.step()
            return healthy
        self._scaler.unscale_(self._optimizer)
        scale = self._scaler.get_scale()
        healthy = self.check(loss)
        if healthy:
            self._scaler.step(self._optimizer)
        self._scaler.update()
        # A scaler that met an overflow has not stepped, and has lowered its scale.
        return healthy and self._scaler.get_scale() >= scale

    def check(self, loss: Tensor | None = None) -> bool:
        """What `step` does up to the optimiser's step, for a trainer that makes that itself.

        After False the gradients are gone, so that an optimiser that steps all the same changes nothing.
        Gradients must be unscaled.
        """
        norm = get_total_norm([p.grad for p in self._parameters() if p.grad is not None])
        signals = self._signals(loss, norm)
        self._scales.clear()
        self.steps += 1
        if self._is_overflow(signals):
            return True
        alarm = self._detector.judge(signals)
        if alarm is not None and not self._may_go_on(alarm):
            return False
        if alarm is None and self.steps - self._good_step >= self.options.keep_every:
            # The current values have just given a healthy loss and gradient.
            self._good, self._good_step = Snapshot(self._model, self._optimizer), self.steps
        if self.options.clip_norm is not None:
            clip_grads_with_norm_(self._parameters(), self.options.clip_norm, norm)
        return True

    def state_dict(self) -> dict[str, Any]:
        """The state of the run as plain numbers; save it beside the model and the optimiser."""
        return {
            "steps": self.steps,
            "rollbacks": self.rollbacks,
            "rate": self.rate,
            "events": [asdict(event) for event in self.events],
            "watch": self._detector.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state; the model's current state counts as good."""
        self.steps, self.rollbacks = state["steps"], state["rollbacks"]
        self._rate.factor = state["rate"]
        self.events = [Event(**event) for event in state["events"]]
        self._detector.load_state_dict(state["watch"])
        self._good, self._good_step = Snapshot(self._model, self._optimizer), self.steps

    def close(self) -> None:
        """Removes its hooks from the model and the optimiser; the lowered rate ends."""
        self._hooks.close()
        self._rate.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _may_go_on(self, alarm: Alarm) -> bool:
        if alarm.certain:
            self._roll_back(alarm)
            return False
        if alarm.signal == GRADIENT:
            self._record("skipped", alarm)
            self._clear_gradients()
            return False
        self._record("suspected", alarm)
        return True

    def _roll_back(self, alarm: Alarm) -> None:
        self._good.restore()
        if self.rollbacks == self.tries:
            self._record("stopped", alarm)
            raise DivergedError(
                f"training diverged after {self.rollbacks} rollbacks: {self.events[-1]}; the model stands at "
                f"its last good state, of step {self._good_step}. Lower `lr` or `activation_lr`, "
                f"clip the gradients (`Options(clip_norm=1.0)`), or bound what grows (`SlopeBound`; a "
                f"smaller `gamma` of NEAAF)"
            )
        self.rollbacks += 1
        self._rate.factor *= self.options.lower
        self._record("rolled back", alarm)

    def _record(self, action: Action, alarm: Alarm) -> None:
        event = Event(self.steps, action, alarm.signal, alarm.value, alarm.limit, self.rate)
        self.events.append(event)
        if action == "rolled back":
            logger.warning("%s; back to step %d, activation rate x %g", event, self._good_step, self.rate)
        else:
            logger.log(logging.INFO if action == "suspected" else logging.WARNING, "%s", event)

    def _signals(self, loss: Tensor | None, norm: Tensor) -> dict[str, float]:
        """All signals of this step as numbers, fetched from the device at once."""
        tensors = {} if loss is None else {LOSS: loss.detach()}
        tensors[GRADIENT] = norm
        if self._is_reading():
            # Every process has to send as many values, also for a layer that it did not reach.
            missing = norm.new_full((), MISSING_NORM)
            tensors |= {
                f"output of `{layer}`": self._scales.get(layer, missing) for layer in self._hooks.layers
            }
        values = torch.stack([value.to(norm.device, torch.float32).reshape(()) for value in tensors.values()])
        numbers = dict(zip(tensors, reduce_worst(values).tolist(), strict=True))
        return {name: value for name, value in numbers.items() if name == LOSS or value != MISSING_NORM}

    def _is_overflow(self, signals: Mapping[str, float]) -> bool:
        """Whether the gradient is only too large for float16, in which case the scaler lowers its scale."""
        if self._scaler is None or self._scaler.get_scale() <= 1:
            return False
        others = [value for name, value in signals.items() if name != GRADIENT]
        return not math.isfinite(signals[GRADIENT]) and all(map(math.isfinite, others))

    def _read_output(self, layer: str, _: Tensor, output: Tensor) -> None:
        if not (self._model.training and self._is_reading()):
            return
        scale = torch.linalg.vector_norm(output, math.inf)
        known = self._scales.get(layer)
        self._scales[layer] = scale if known is None else torch.maximum(known, scale)

    def _is_reading(self) -> bool:
        return self.steps % self.options.read_every == 0 or self._detector.is_unsettled

    def _parameters(self) -> Iterable[Tensor]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def _clear_gradients(self) -> None:
        for parameter in self._parameters():
            parameter.grad = None

"""The guard: watches a training run and rolls it back when it diverges."""

import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from adaptive_act.errors import DivergedError
from adaptive_act.training.divergence import GRADIENT, LOSS, Alarm, DivergenceDetector, Options, reduce_worst
from adaptive_act.training.outputs import OutputReader, Scales, find_growth
from adaptive_act.training.schedule import RateFactor
from adaptive_act.training.snapshot import Snapshot

logger = logging.getLogger(__name__)

Action = Literal["rolled back", "accepted", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """What the guard did at a step, the signal that caused it, and the factor on every rate since.

    `layer` is the activation whose outputs grew most since the state that was restored, `growth` times; None
    where none is known to have grown.
    """

    step: int
    what: Action
    signal: str
    value: float
    limit: float
    rate: float
    layer: str | None = None
    growth: float = 1.0

    def __str__(self) -> str:
        allowed = f"allowed {self.limit:.4g}" if math.isfinite(self.value) else "expected a finite number"
        changed = f"grew {self.growth:.3g} times" if math.isfinite(self.growth) else "is not finite"
        grown = "" if self.layer is None else f"; output of `{self.layer}` {changed}"
        return f"{self.what} at step {self.step}: {self.signal} is {self.value:.4g}, {allowed}{grown}"


@dataclass(frozen=True, slots=True)
class _KeptState:
    """The run as it was at a step that was judged healthy."""

    step: int
    snapshot: Snapshot
    losses: dict[str, Any]
    scales: Scales


class Guard:
    """Clips gradients and steps `optimizer`; when the run diverges, restores a good state and slows down.

    A loss or a gradient that is not finite means divergence, and so does a loss that stays far above those
    before it (see `Options`); one outlier does not, nor a gradient that clipping made small enough. The
    model and the optimiser's memory are then put back as they were, and every learning rate is lowered.
    `tries` such rollbacks are made in all. After them a high loss is accepted, as clipping alone would; where
    it is not finite, the state is put back once more and DivergedError is raised. Until the first rollback
    the run is, bit for bit, the run with clipping alone.

    Since a divergence is noticed late, two states are kept and the older one is restored. Everything it does
    is in `events` and in the log. Learning rates in the optimiser's groups stay as they are: the lowered rate
    acts while the optimiser steps, under any scheduler. In a distributed run all processes decide on the
    worst values of any.
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
        self._rate = RateFactor(optimizer)
        self._earlier_rate = 1.0
        self._outputs = OutputReader(model, self.options.read_every)
        self._kept = deque([self._take_state()], maxlen=2)

    @property
    def rate(self) -> float:
        """The factor on every learning rate, 1 until the first rollback."""
        return self._rate.factor

    def step(self, loss: Tensor) -> bool:
        """True when the optimiser stepped; call it after `loss.backward()`, once for each optimiser step.

        False when the run was rolled back; the gradients are cleared then. With a scaler the gradients must
        still be scaled, and `loss` is the one before scaling. With accumulated gradients `loss` is the sum
        or the mean of the parts. Raises DivergedError where it is not finite after `tries` rollbacks.
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
        signals = _fetch_signals(loss, norm)
        self.steps += 1
        self._outputs.end_step()
        if self._is_overflow(signals):
            return True
        alarm = self._detector.judge(signals)
        if alarm is not None and not self._accept(alarm):
            self._roll_back(alarm)
            return False
        self._healthy_steps += 1
        if self._healthy_steps == self.options.keep_every:
            # The current values have just given a healthy loss and gradient.
            self._kept.append(self._take_state())
        if self.options.clip_norm is not None:
            clip_grads_with_norm_(self._parameters(), self.options.clip_norm, norm)
        return True

    def state_dict(self) -> dict[str, Any]:
        """The state of the run as plain numbers; save it beside the model and the optimiser."""
        return {
            "steps": self.steps,
            "rollbacks": self.rollbacks,
            "rate": self.rate,
            "earlier_rate": self._earlier_rate,
            "events": [asdict(event) for event in self.events],
            "watch": self._detector.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from this state; the model's current state counts as good."""
        self.steps, self.rollbacks = state["steps"], state["rollbacks"]
        self._rate.factor, self._earlier_rate = state["rate"], state["earlier_rate"]
        self.events = [Event(**event) for event in state["events"]]
        self._detector.load_state_dict(state["watch"])
        self._kept = deque([self._take_state()], maxlen=2)

    def close(self) -> None:
        """Removes its hooks from the model and the optimiser; the lowered rate ends."""
        self._outputs.close()
        self._rate.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_state(self) -> _KeptState:
        self._healthy_steps = 0
        snapshot = Snapshot(self._model, self._optimizer)
        return _KeptState(self.steps, snapshot, self._detector.state_dict(), self._outputs.latest)

    def _roll_back(self, alarm: Alarm) -> None:
        good = self._kept[0]
        good.snapshot.restore()
        self._detector.load_state_dict(good.losses)
        self._kept = deque([good], maxlen=2)
        self._healthy_steps = 0
        grown = find_growth(good.scales or self._outputs.first, self._outputs.latest)
        if self.rollbacks == self.tries:
            self._record("stopped", alarm, grown)
            logger.warning("%s", self.events[-1])
            raise DivergedError(
                f"training diverged after {self.rollbacks} rollbacks: {self.events[-1]}; the model stands at "
                f"its last good state, of step {good.step}. Lower `lr` or `activation_lr`, clip to a "
                f"smaller norm (`clip_norm` of `Options` is {self.options.clip_norm}), or bound what grows "
                f"(`SlopeBound`; a smaller `gamma` of NEAAF)"
            )
        self.rollbacks += 1
        self._earlier_rate = self.rate
        self._rate.factor *= self.options.lower
        self._record("rolled back", alarm, grown)
        logger.warning("%s; back to step %d, all rates x %g", self.events[-1], good.step, self.rate)

    def _accept(self, alarm: Alarm) -> bool:
        """Whether to go on at a loss that no rollback lowers; a mistaken rollback's rates are put back."""
        is_mistaken = self.rollbacks > 0 and self._detector.is_new_level(alarm)
        is_last = self.rollbacks == self.tries and math.isfinite(alarm.value)
        if not (is_mistaken or is_last):
            return False
        if is_mistaken:
            self.rollbacks -= 1
            self._rate.factor = self._earlier_rate
        self._detector.forget()
        self._kept = deque([self._take_state()], maxlen=2)
        self._record("accepted", alarm)
        logger.warning("%s; a rollback would not lower it", self.events[-1])
        return True

    def _record(self, action: Action, alarm: Alarm, grown: tuple[str, float] | None = None) -> None:
        layer, growth = grown or (None, 1.0)
        self.events.append(
            Event(self.steps, action, alarm.signal, alarm.value, alarm.limit, self.rate, layer, growth)
        )

    def _is_overflow(self, signals: Mapping[str, float]) -> bool:
        """Whether the gradient is only too large for float16, in which case the scaler lowers its scale."""
        if self._scaler is None or self._scaler.get_scale() <= 1:
            return False
        return not math.isfinite(signals[GRADIENT]) and math.isfinite(signals.get(LOSS, 0.0))

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]


def _fetch_signals(loss: Tensor | None, norm: Tensor) -> dict[str, float]:
    """The signals of this step as numbers, fetched from the device at once."""
    if loss is not None and loss.numel() != 1:
        raise ValueError(
            f"`Guard` expects the loss as one number, got {list(loss.shape)}: give its mean or its sum"
        )
    tensors = {} if loss is None else {LOSS: loss.detach()}
    tensors[GRADIENT] = norm
    values = torch.stack([value.to(norm.device, torch.float32).reshape(()) for value in tensors.values()])
    return dict(zip(tensors, reduce_worst(values).tolist(), strict=True))

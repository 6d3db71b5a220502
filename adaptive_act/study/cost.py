"""What a variant costs against the baseline, measured in turns on a machine left to itself.

Times of runs that shared the machine say little; here all variants take short turns in one process, and each
turn is divided by the baseline's turn of the same round.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.atomic import replacing
from adaptive_act.study.data import Data
from adaptive_act.study.exported import Latencies, exported_latencies
from adaptive_act.study.plan import Plan, run_spec
from adaptive_act.study.run import start
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.statistics import Mean, median_interval
from adaptive_act.study.threads import one_thread
from adaptive_act.study.train import optimizer_of

FILE = "cost.json"
ROUNDS = 21
TURN_SECONDS = 0.05
WARM_UP_SECONDS = 0.2

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class VariantCost:
    """A variant's cost as ratios to the baseline: medians over the rounds, with their intervals."""

    training_step: Mean
    latency: Mean | None
    """Of one prediction by the exported file; None where it was not measured."""
    not_measured: str | None
    """Why there is no latency."""


Cost = dict[str, VariantCost]
"""By variant; the baseline's is 1. Empty where the plan does not ask for it."""


def cost(plan: Plan, data: Data, folder: Path, jobs: int, tick: Tick) -> Cost:
    """The cost of each of the plan's variants; measured once, then read from `folder`."""
    if not plan.cost:
        return {}
    specs = [run_spec(plan, data.digest, variant, plan.seeds[0]) for variant in plan.everyone]
    key = [spec.key for spec in specs]
    known = _known(folder / FILE, key)
    if known is not None:
        return known
    steps = _training_ratios([_step(spec, data) for spec in specs], tick)
    latencies = exported_latencies(specs, data, folder, jobs)
    tick()
    found = {
        spec.variant: VariantCost(step, *_latency(latencies, spec))
        for spec, step in zip(specs, steps, strict=True)
    }
    with replacing(folder / FILE) as path:
        document = {"key": key, "cost": {name: asdict(each) for name, each in found.items()}}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return found


def ratios(turns: Sequence[Sequence[float]]) -> list[Mean]:
    """For the turns of each of several things, the median ratio to the first one's turn of the same round."""
    first = turns[0]
    return [median_interval([turn / base for turn, base in zip(each, first, strict=True)]) for each in turns]


def _latency(latencies: Latencies, spec: RunSpec) -> tuple[Mean | None, str | None]:
    found = latencies[spec.variant]
    return (None, found) if isinstance(found, str) else (found, None)


def _step(spec: RunSpec, data: Data) -> Callable[[], Tensor]:
    """One training step of the variant, forward to optimizer, on one batch."""
    model = start(spec, data).model.train()
    optimizer = optimizer_of(model, spec.training)
    batch = data.train.x[: spec.training.batch], data.train.labels[: spec.training.batch]

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        torch.autograd.backward(loss)
        optimizer.step()
        return loss

    return step


def _training_ratios(steps: Sequence[Callable[[], Tensor]], tick: Tick) -> list[Mean]:
    turns: list[list[float]] = [[] for _ in steps]
    with one_thread():
        for step in steps:
            _turn(step, WARM_UP_SECONDS)
        for number in range(ROUNDS):
            # Back and forth, so that whatever drifts during a round favours nobody.
            places = range(len(steps)) if number % 2 == 0 else reversed(range(len(steps)))
            for place in places:
                turns[place].append(_turn(steps[place], TURN_SECONDS))
            tick()
    return ratios(turns)


def _turn(step: Callable[[], Tensor], seconds: float) -> float:
    """The mean seconds of a step, repeated until the time is over."""
    count, begin = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - begin < seconds:
        step()
        count += 1
    return (time.perf_counter() - begin) / count


def _known(path: Path, key: list[str]) -> Cost | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["key"] != key:
            return None
        return {name: _read(fields) for name, fields in document["cost"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(fields: dict[str, Any]) -> VariantCost:
    latency = fields["latency"]
    return VariantCost(
        Mean(**fields["training_step"]),
        None if latency is None else Mean(**latency),
        fields["not_measured"],
    )

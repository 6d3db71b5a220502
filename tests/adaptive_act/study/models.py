"""Networks of a user's own, and plans that take a second."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.study import Architecture, DataSpec, Plan, Training

QUICK = Training(epochs=1, batch=64)


def plan(
    *variants: str,
    seeds: int = 2,
    rates: tuple[float, ...] = (1e-3,),
    training: Training = QUICK,
    **options: bool,
) -> Plan:
    return Plan(
        DataSpec("digits", train_size=256),
        Architecture("mlp(width=16)"),
        variants or ("PReLU",),
        seeds=tuple(range(seeds)),
        rates=rates,
        training=training,
        **{"cost": False, **options},  # type: ignore[arg-type]  # all options given here are flags
    )


def own(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


class Calling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x.flatten(1)))


def wrong_outputs() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU())


OWN = f"{__name__}:own"
CALLING = f"{__name__}:Calling"
WRONG = f"{__name__}:wrong_outputs"
ROOT = Path(__file__).parents[3]

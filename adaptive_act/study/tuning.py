"""The choice of a learning rate for each variant, the baseline included, on the validation samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptive_act.study.execute import OnResult, execute_trials
from adaptive_act.study.parallel import Machines
from adaptive_act.study.plan import FIRST_TUNING_SEED, Plan, list_ablations, make_run_spec, sweep_gamma
from adaptive_act.study.run import TrialResult
from adaptive_act.study.specs import RunSpec


@dataclass(frozen=True, slots=True)
class RateScore:
    """A variant's validation scores at one learning rate, by seed; trials that diverged as they ended."""

    variant: str
    lr: float
    scores: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: int
    """How many trials diverged."""
    is_chosen: bool = False

    @property
    def mean(self) -> float:
        """The mean score."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def rank(self) -> tuple[int, float, float, float]:
        """Highest for the rate to choose: by trials that did not diverge, by score, by less loss, by rate."""
        return -self.diverged, self.mean, -math.fsum(_replace_nan(loss) for loss in self.losses), -self.lr


Tuning = tuple[RateScore, ...]
"""The scores of every variant at every rate; empty where the plan has a single rate."""


def tune(
    plan: Plan, digest: str, output: Path, machines: Machines, on_result: OnResult[TrialResult]
) -> tuple[Plan, Tuning]:
    """The plan with the best rate of each variant, and the scores that chose it; trials are kept in `output`.

    What an ablation changes keeps the rate of the variant that it is compared with.
    """
    specs = list_trial_specs(plan, digest)
    trials = execute_trials(specs, output, machines, on_result) if specs else {}
    scores = [
        _score_rate([trials[spec.key] for spec in specs if (spec.variant, spec.lr) == pair])
        for pair in _list_pairs(plan)
    ]
    chosen = choose_rates(scores)
    marked = tuple(replace(score, is_chosen=score.lr == chosen[score.variant]) for score in scores)
    return replace(plan, chosen=_extend_to_ablations(plan, chosen)), marked


def list_trial_specs(plan: Plan, digest: str) -> list[RunSpec]:
    """Every trial of the plan, those of one seed together; none where there is a single rate."""
    return [
        make_run_spec(plan, digest, variant, seed, lr=lr)
        for seed in range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + plan.tuning_seeds)
        for variant, lr in _list_pairs(plan)
    ]


def choose_rates(scores: Sequence[RateScore]) -> dict[str, float]:
    """By variant, the rate with the best mean validation score, of those at which fewest trials diverged.

    Of equal ones it is that with less loss, then the smaller one.
    """
    best: dict[str, RateScore] = {}
    for score in scores:
        if score.variant not in best or score.rank > best[score.variant].rank:
            best[score.variant] = score
    return {variant: score.lr for variant, score in best.items()}


def _list_pairs(plan: Plan) -> list[tuple[str, float]]:
    if len(plan.rates) == 1:
        return []
    return [(variant, lr) for variant in plan.all_variants for lr in plan.rates]


def _score_rate(trials: Sequence[TrialResult]) -> RateScore:
    return RateScore(
        trials[0].variant,
        trials[0].lr,
        tuple(trial.score for trial in trials),
        tuple(trial.loss for trial in trials),
        sum(trial.diverged is not None for trial in trials),
    )


def _extend_to_ablations(plan: Plan, chosen: Mapping[str, float]) -> dict[str, float]:
    changed = {ablation.variant: ablation.against for ablation in list_ablations(plan)}
    changed |= {swept: text for text, sweep in sweep_gamma(plan).items() for _, swept in sweep}
    return {variant: chosen[against] for variant, against in changed.items() if chosen} | dict(chosen)


def _replace_nan(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf

"""The method of a study as a part of the report: what the numbers mean, and the settings."""

from collections.abc import Sequence

from adaptact.report.parts import Part, Table, Text
from adaptive_act.study import wording
from adaptive_act.study.optimizer import OPTIMIZERS
from adaptive_act.study.results import Results
from adaptive_act.study.specs import Training
from adaptive_act.study.statistics import BINS
from adaptive_act.study.tuning_report import describe_choice
from adaptive_act.training.groups import FASTER, FASTEST, FASTEST_NORMALISED, NORMALISING

_TIMES = (
    "Training steps took turns in one process on one thread, and so did the exported files. A ratio divides "
    "by the baseline's time in the same round; the median ratio is given. Latency is that of one sample."
)


def method_parts(results: Results) -> list[Part]:
    """What the numbers mean, who starts where, and the settings."""
    away = [o.variant for o in results.outcomes[1:] if not o.starts_as_baseline]
    not_measured = [
        f"Latency of {name} was not measured: {cost.not_measured}."
        for name, cost in results.cost.items()
        if cost.not_measured
    ]
    texts = [
        f"For one seed every variant has the same initial weights{_describe_batches(results)}; differences "
        "are taken seed by seed. All runs share one split of the data.",
        _describe_starts(results, away),
        _describe_divergence(results),
        f"The test samples are used once, after training. {describe_choice(results)} "
        f"{_describe_stopping(results.plan.training)}",
        f"{_describe_metrics(results)} Intervals are Student's t over the seeds; for times, of the median, "
        "by order statistics.",
        *([_TIMES] if results.cost else []),
        *not_measured,
    ]
    return [*map(Text, texts), Table(("setting", "value"), _setting_rows(results))]


def _describe_batches(results: Results) -> str:
    own = results.plan.training.loop is not None
    return "" if own else " and gets the same batches in the same order"


def _describe_divergence(results: Results) -> str:
    if results.data.classes:
        sign = (
            f"its test accuracy is no better than always naming the most frequent class "
            f"({results.data.chance:.1%}) would give by luck"
        )
    else:
        sign = "its R² on the test samples is not above 0, which always naming their mean gives"
    return (
        f"A run diverged if its loss was not finite, or if {sign}. Diverged runs stay in every mean and test "
        "as they ended, and are also counted."
    )


def _describe_metrics(results: Results) -> str:
    if results.data.classes:
        return f"ECE: expected calibration error on the test samples, {BINS} bins."
    return (
        "R² = 1 - MSE / variance of the test samples' numbers. MSE and MAE, the mean squared and the mean "
        "absolute error, are in the units of the data; the networks learn standardised numbers."
    )


def _describe_stopping(training: Training) -> str:
    if training.loop is not None:
        return f"The training loop is the user's own, {training.loop}."
    if training.patience is None:
        return "Every run trains for all epochs; its last state is tested."
    epochs = wording.format_count(training.patience, "epoch")
    return (
        f"Training stops after {epochs} without a better validation loss, and the model of the best epoch is "
        "kept."
    )


def _describe_starts(results: Results, away: Sequence[str]) -> str:
    baseline = results.plan.baseline
    if not away:
        return f"Every activation starts as {baseline}, at its fixed point."
    return (
        f"Learned activations that can equal {baseline} start there, at their fixed point. These start "
        f"elsewhere, at their own initial values or as another plain activation: {', '.join(away)}."
    )


def _setting_rows(results: Results) -> list[tuple[str, str]]:
    plan, training = results.plan, results.plan.training
    return [
        ("data", f"{results.data.name}, digest {results.data.digest[:16]}"),
        ("sample", " x ".join(map(str, results.data.shape))),
        ("split seed", str(plan.data.split_seed)),
        ("network", plan.architecture.name),
        ("parameters with the baseline", f"{results.baseline.runs[0].parameters:,}"),
        ("seeds", ", ".join(map(str, plan.seeds))),
        ("epochs, batch", f"{training.epochs}, {training.batch}"),
        *(
            [("optimizer, schedule", f"{training.optimizer}, {training.schedule}")]
            if not training.loop
            else []
        ),
        ("rates to choose from", ", ".join(f"{lr:g}" for lr in plan.rates)),
        ("rate of the activations", _describe_activation_rate(training)),
        ("weight decay", f"{training.weight_decay:g}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in results.versions.items())),
    ]


def _describe_activation_rate(training: Training) -> str:
    if training.activation_lr is not None:
        return f"{training.activation_lr:g}"
    if training.loop is not None:
        return "that of the user's own loop"
    if issubclass(OPTIMIZERS[training.optimizer], NORMALISING):
        return f"{FASTER} times that of the weights, up to {FASTEST_NORMALISED:g}"
    return f"that of the weights, up to {FASTEST:g}"

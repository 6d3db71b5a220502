"""The method of a study as a part of the report: what the numbers mean, and the settings."""

from collections.abc import Sequence

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list, join_sentences
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all
from adaptact.report.parts import Part, Table, Text
from adaptive_act.study import wording
from adaptive_act.study.optimizer import OPTIMIZERS
from adaptive_act.study.results import Results
from adaptive_act.study.specs import Training
from adaptive_act.study.statistics import BINS
from adaptive_act.study.tuning_report import describe_choice
from adaptive_act.training.groups import FASTER, FASTEST, FASTEST_NORMALISED, NORMALISING

_TIMES = mark(
    "Training steps took turns in one process on one thread, and so did the exported files. A ratio divides "
    "by the baseline's time in the same round; the median ratio is given. Latency is that of one sample."
)


def method_parts(results: Results) -> list[Part]:
    """What the numbers mean, who starts where, and the settings."""
    away = [o.variant for o in results.outcomes[1:] if not o.starts_as_baseline]
    not_measured = [
        say("Latency of {name} was not measured: {reason}.", name=name, reason=retell(cost.not_measured))
        for name, cost in results.cost.items()
        if cost.not_measured
    ]
    texts = [
        _describe_pairing(results),
        _describe_starts(results, away),
        _describe_divergence(results),
        join_sentences(
            [
                say("The test samples are used once, after training."),
                describe_choice(results),
                _describe_stopping(results.plan.training),
            ]
        ),
        join_sentences(
            [
                _describe_metrics(results),
                say(
                    "Intervals are Student's t over the seeds; for times, of the median, by order statistics."
                ),
            ]
        ),
        *([say(_TIMES)] if results.cost else []),
        *not_measured,
    ]
    return [*map(Text, texts), Table(say_all("setting", "value"), _setting_rows(results))]


def _describe_pairing(results: Results) -> str:
    if results.plan.training.loop is not None:
        return say(
            "For one seed every variant has the same initial weights; differences are taken seed "
            "by seed. All "
            "runs share one split of the data."
        )
    return say(
        "For one seed every variant has the same initial weights and gets the same batches "
        "in the same order; "
        "differences are taken seed by seed. All runs share one split of the data."
    )


def _describe_divergence(results: Results) -> str:
    if results.data.classes:
        sign = say(
            "its test accuracy is no better than always naming the most frequent class "
            "({chance}) would give by "
            "luck",
            chance=f"{results.data.chance:.1%}",
        )
    else:
        sign = say("its R² on the test samples is not above 0, which always naming their mean gives")
    return say(
        "A run diverged if its loss was not finite, or if {sign}. Diverged runs stay in "
        "every mean and test as "
        "they ended, and are also counted.",
        sign=sign,
    )


def _describe_metrics(results: Results) -> str:
    if results.data.classes:
        return say("ECE: expected calibration error on the test samples, {bins} bins.", bins=BINS)
    return say(
        "R² = 1 - MSE / variance of the test samples' numbers. MSE and MAE, the mean squared and the mean "
        "absolute error, are in the units of the data; the networks learn standardised numbers."
    )


def _describe_stopping(training: Training) -> str:
    if training.loop is not None:
        return say("The training loop is the user's own, {loop}.", loop=training.loop)
    if training.patience is None:
        return say("Every run trains for all epochs; its last state is tested.")
    return say(
        "Training stops after {epochs} without a better validation loss, and the model of the best epoch is "
        "kept.",
        epochs=wording.count_epochs(training.patience),
    )


def _describe_starts(results: Results, away: Sequence[str]) -> str:
    baseline = results.plan.baseline
    if not away:
        return say("Every activation starts as {baseline}, at its fixed point.", baseline=baseline)
    return say(
        "Learned activations that can equal {baseline} start there, at their fixed point. These start "
        "elsewhere, at their own initial values or as another plain activation: {names}.",
        baseline=baseline,
        names=join_list(away),
    )


def _setting_rows(results: Results) -> list[tuple[str, str]]:
    plan, training = results.plan, results.plan.training
    return [
        (
            say("data"),
            say("{name}, digest {digest}", name=results.data.name, digest=results.data.digest[:16]),
        ),
        (say("sample"), " x ".join(map(str, results.data.shape))),
        (say("split seed"), str(plan.data.split_seed)),
        (say("network"), plan.architecture.name),
        (say("parameters with the baseline"), f"{results.baseline.runs[0].parameters:,}"),
        (say("seeds"), ", ".join(map(str, plan.seeds))),
        (say("epochs, batch"), f"{training.epochs}, {training.batch}"),
        *(
            [(say("optimizer, schedule"), f"{training.optimizer}, {training.schedule}")]
            if not training.loop
            else []
        ),
        (say("rates to choose from"), ", ".join(f"{lr:g}" for lr in plan.rates)),
        (say("rate of the activations"), _describe_activation_rate(training)),
        (say("weight decay"), f"{training.weight_decay:g}"),
        (say("versions"), ", ".join(f"{name} {number}" for name, number in results.versions.items())),
    ]


def _describe_activation_rate(training: Training) -> str:
    if training.activation_lr is not None:
        return f"{training.activation_lr:g}"
    if training.loop is not None:
        return say("that of the user's own loop")
    if issubclass(OPTIMIZERS[training.optimizer], NORMALISING):
        return say(
            "{faster} times that of the weights, up to {fastest}",
            faster=FASTER,
            fastest=f"{FASTEST_NORMALISED:g}",
        )
    return say("that of the weights, up to {fastest}", fastest=f"{FASTEST:g}")

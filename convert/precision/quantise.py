"""The stage after parity for a file of fewer bits: rounds the graph, and judges it by the gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import onnx_ir as ir
import onnxruntime as ort

from convert.artefact.external import LARGEST, count_weight_bytes
from convert.errors import ExportError, PrecisionError, UsageError
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.accuracy import require_apart, require_enough
from convert.precision.budgets import BudgetOptions, Budgets, Precision, resolve_budgets
from convert.precision.calibration import Calibration, measure_ranges, read_calibration, read_labels
from convert.precision.computed import COMPUTED, measure_computed
from convert.precision.front.options import FrontOptions
from convert.precision.front.search import Front, FrontTask, search_front
from convert.precision.gate import Gate, LossReport, count_samples, require_passed
from convert.precision.half import HalfScheme, UnfitLayer
from convert.precision.int8 import DynamicScheme
from convert.precision.keep import Candidate, FloatSite, OnStep, keep_fewest
from convert.precision.sites import Scheme, find_sites
from convert.precision.static_ways import make_plain_scheme, make_static_schemes
from convert.precision.weights import BITS, SMALLEST, WeightsScheme
from convert.tuning.timing import Machine

Method = Literal["fp16", "computed", "dynamic", "static", "weights-int8", "weights-int4"]
JudgedOn = Literal["given", "calibration", "generated"]


@dataclass(frozen=True, slots=True)
class PrecisionOptions:
    """The user's options of the precision; fp32 needs none."""

    precision: Precision = "fp32"
    calibration: Path | None = None
    samples: Path | None = None
    budgets: BudgetOptions = field(default_factory=BudgetOptions)
    front: FrontOptions | None = None

    def require_consistent(self) -> None:
        """Raises UsageError where the options do not belong together."""
        resolve_budgets(self.precision, self.budgets)
        if self.calibration is not None and self.precision != "int8":
            raise UsageError(
                f"`--calibration` is for int8, and the precision is {self.precision}",
                hint="ask for it: --precision int8",
            )
        if self.front is not None and self.precision != "int8":
            raise UsageError(
                f"`--front` chooses the places that int8 rounds, and the precision is {self.precision}",
                hint="ask for it: --precision int8",
            )
        if self.budgets.max_accuracy_drop is not None and self.samples is None:
            raise UsageError(
                "`--max-accuracy-drop` needs samples with labels",
                hint="give them: --samples data.npz, with an array `labels` beside the inputs",
            )

    def read(self, inputs: Sequence[InputSpec], own_sets: Sequence[SampleSet]) -> "RoundingTask":
        """The task, with calibration data and labels read. Raises UsageError where these do not fit."""
        data = None if self.calibration is None else read_calibration(self.calibration, inputs)
        labels = None if self.samples is None else read_labels(self.samples, inputs, count_samples(own_sets))
        if labels is None and self.budgets.max_accuracy_drop is not None:
            raise UsageError(
                f"`--max-accuracy-drop` needs labels, and `{self.samples}` has no array `labels`",
                hint="add the right class of every sample: numpy.savez(path, x=x, labels=labels)",
            )
        if self.budgets.max_accuracy_drop is not None:
            require_enough(count_samples(own_sets), self.budgets.max_accuracy_drop)
            require_apart(own_sets, () if data is None else data.sets)
        front = None if self.front is None else self.front.with_batches(inputs)
        return RoundingTask(self.precision, self.budgets, data, labels, front)


@dataclass(frozen=True, slots=True)
class RoundingTask:
    """The precision to round to, the budgets, and the user's data."""

    precision: Precision
    budgets: BudgetOptions
    calibration: Calibration | None = None
    labels: Array | None = None
    front: FrontOptions | None = None
    """None where places are chosen by their loss alone."""
    machine: Machine | None = None
    """What the files of a front are timed on."""


@dataclass(frozen=True, slots=True)
class QuantisedModel:
    """A graph of fewer bits that passed its gate, and how it was made."""

    model: ir.Model
    precision: Precision
    method: Method
    judged_on: JudgedOn
    losses: LossReport
    budgets: Budgets
    kept: tuple[FloatSite, ...]
    unfit: tuple[UnfitLayer, ...]
    sites: int
    calibration: Calibration | None
    ranges_by: str | None
    """The way of choosing ranges, where calibration data gave them."""
    front: Front | None = None
    """Where the places were chosen on a front."""


def _ignore(step: str, done: int, total: int) -> None:
    """No callback."""


def quantise(
    model: ir.Model,
    original: Original,
    sets: Sequence[SampleSet],
    task: RoundingTask,
    *,
    provider: str = "cpu",
    on_progress: OnStep = _ignore,
) -> QuantisedModel:
    """The graph in the task's precision, which passed its gate; the argument is left as it is.

    With a front the places in float are chosen by loss and time, else by loss alone.

    `sets` are all samples of parity. The gate judges the user's own; without any, the calibration data; else
    the typical generated ones. Raises PrecisionError where the graph loses too much even with every possible
    site in float, and UsageError where the samples are not what the budgets need.
    """
    _require_small(model, task.precision)
    judged_on, judged_sets = _pick_samples(sets, task.calibration)
    labels = task.labels if judged_on == "given" else None
    scores = are_scores_judged(judged_on, task.budgets)
    gate = Gate(original, judged_sets, labels, provider, scores=scores)
    budgets = resolve_budgets(task.precision, task.budgets)
    if task.precision in COMPUTED:
        candidate = measure_computed(model, gate)
        require_agreement(candidate.losses, task.budgets)
        require_passed(task.precision, candidate.losses, budgets)
        return _collect(candidate, task, judged_on, budgets)
    schemes, method, unfit = _build_schemes(model, original, judged_sets, task, provider, on_progress)
    scheme = schemes[0]
    if not scheme.is_rounding(()):
        raise PrecisionError(
            f"nothing can be rounded to {task.precision}: no layer multiplies by {_describe_needed(task)}",
            hint="take --precision fp32",
        )
    front = None
    if task.front is not None and task.machine is not None:
        budgets = task.front.judge_by(budgets, task.budgets)
        front_task = FrontTask(task.front, task.machine, model)
        front, candidate = search_front(schemes, gate, budgets, front_task, on_progress)
    else:
        candidate = keep_fewest(schemes, gate, budgets, on_progress)
    require_agreement(candidate.losses, task.budgets)
    require_passed(task.precision, candidate.losses, budgets, _describe_kept(candidate, scheme, task))
    collected = _collect(candidate, task, judged_on, budgets)
    return replace(collected, method=method, unfit=unfit, sites=len(scheme.sites), front=front)


def _collect(
    candidate: Candidate, task: RoundingTask, judged_on: JudgedOn, budgets: Budgets
) -> QuantisedModel:
    """The graph that passed, as far as the candidate says how it was made."""
    return QuantisedModel(
        model=candidate.model,
        precision=task.precision,
        method="computed",
        judged_on=judged_on,
        losses=candidate.losses,
        budgets=budgets,
        kept=candidate.kept,
        unfit=(),
        sites=0,
        calibration=task.calibration,
        ranges_by=candidate.ranges_by,
    )


def round_everywhere(
    model: ir.Model,
    original: Original,
    sets: Sequence[SampleSet],
    task: RoundingTask,
    provider: str = "cpu",
) -> ir.Model:
    """The graph in the task's precision, with no site in float and without a gate, for timing.

    Ranges are those of the first batch alone. Where nothing can be rounded, or for float32, the result is the
    graph itself.
    """
    if task.precision in {"fp32", *COMPUTED}:
        return model
    data = task.calibration
    first = None if data is None else replace(data, sets=data.sets[:1])
    if task.precision == "int8" and first is not None:
        scheme: Scheme = make_plain_scheme(model, first.sets, provider)
    else:
        _, chosen = _pick_samples(sets, first)
        (scheme, *_), _, _ = _build_schemes(model, original, chosen[:1], task, provider, _ignore)
    return scheme.round(()) if scheme.is_rounding(()) else model


def are_scores_judged(judged_on: str, budgets: BudgetOptions) -> bool:
    """Whether the agreement of scores is judged.

    The scores of generated noise nearly tie, so theirs is only where the user names a budget for it.
    """
    return judged_on != "generated" or budgets.min_agreement is not None


def require_agreement(report: LossReport, budgets: BudgetOptions) -> None:
    """Raises UsageError where the user names a budget of agreement, and no output has any."""
    if budgets.min_agreement is not None and all(loss.agreement is None for loss in report.losses):
        raise UsageError(
            "`--min-agreement` needs an output that is rows of scores, [samples, classes], or whole numbers",
            hint="leave it out, and judge by --max-error",
        )


def _require_small(model: ir.Model, precision: Precision) -> None:
    if precision not in BITS and count_weight_bytes(model) > LARGEST:
        raise ExportError(
            f"the weights take {count_weight_bytes(model)} bytes, expected at most {LARGEST} for {precision}",
            hint="take --precision fp32, which may have them beside the file",
        )


def _describe_needed(task: RoundingTask) -> str:
    """The layers that can be rounded, where a graph has none."""
    if task.precision in BITS:
        return (
            f"{SMALLEST:,} constant float32 weights or more that ONNX Runtime {ort.__version__} keeps small"
        )
    return "a constant matrix or kernel in float32"


def _pick_samples(
    sets: Sequence[SampleSet], data: Calibration | None
) -> tuple[JudgedOn, tuple[SampleSet, ...]]:
    own_sets = tuple(samples for samples in sets if samples.given)
    if own_sets:
        return "given", own_sets
    if data is not None:
        return "calibration", data.sets
    return "generated", tuple(samples for samples in sets if samples.typical)


def _build_schemes(
    model: ir.Model,
    original: Original,
    sets: Sequence[SampleSet],
    task: RoundingTask,
    provider: str,
    on_progress: OnStep,
) -> tuple[Sequence[Scheme], Method, tuple[UnfitLayer, ...]]:
    """The ways of rounding to try, in this order, which have the same sites."""
    kinds = {name: type(module).__name__ for name, module in original.float32.named_modules()}
    if task.precision in {"weights-int8", "weights-int4"}:
        weights = WeightsScheme(model, kinds, BITS[task.precision])
        return [weights], task.precision, weights.unfit
    if task.precision == "fp16":
        ranges = measure_ranges(model, sets, _count_batches("watch", len(sets), on_progress))
        half = HalfScheme(model, find_sites(model, kinds), ranges, kinds)
        return [half], "fp16", half.unfit
    data = task.calibration
    if data is None:
        return [DynamicScheme(model, find_sites(model, kinds))], "dynamic", ()
    count = _count_batches("calibrate", len(data.sets), on_progress)
    return make_static_schemes(model, kinds, data.sets, provider, count), "static", ()


def _count_batches(step: str, total: int, on_progress: OnStep) -> Callable[[int], None]:
    return lambda done: on_progress(step, done, total)


def _describe_kept(candidate: Candidate, scheme: Scheme, task: RoundingTask) -> str:
    """The sites that were kept and were not enough; empty where there were none."""
    kept = candidate.kept
    if not kept:
        return ""
    names = [f"`{float_site.site.layer}` ({float_site.site.kind})" for float_site in kept[:5]]
    listed = ", ".join(names) + (" ..." if len(kept) > 5 else "")
    more = "8 bits" if task.precision == "weights-int4" else "float"
    return f", even with {len(kept)} of {len(scheme.sites)} places in {more} ({listed})"

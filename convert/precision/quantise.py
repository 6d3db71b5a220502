"""The stage after parity, where fewer bits are asked for: rounds the graph and judges it by its own gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from convert.artefact.external import LARGEST, weights
from convert.errors import ExportError, PrecisionError, UsageError
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import Array, SampleSet
from convert.parity.verify import Original
from convert.precision.budgets import Asked, Budgets, Precision, budgets
from convert.precision.calibration import Calibration, labels_of, ranges, read_calibration
from convert.precision.gate import Judge, Judged, count, require_passed
from convert.precision.half import Half, Outside
from convert.precision.int8 import Dynamic, Static
from convert.precision.keep import Found, Kept, Said, fewest_kept
from convert.precision.sites import Scheme, sites

Method = Literal["fp16", "dynamic", "static"]
JudgedOn = Literal["given", "calibration", "generated"]


@dataclass(frozen=True, slots=True)
class Request:
    """What the user says of the precision; fp32 asks for nothing."""

    precision: Precision = "fp32"
    calibration: Path | None = None
    samples: Path | None = None
    budgets: Asked = field(default_factory=Asked)

    def require_meant(self) -> None:
        """Raises UsageError where the options do not belong together."""
        budgets(self.precision, self.budgets)
        if self.calibration is not None and self.precision != "int8":
            raise UsageError(
                f"`--calibration` is for int8, and the precision is {self.precision}",
                hint="ask for it: --precision int8",
            )
        if self.budgets.max_accuracy_drop is not None and self.samples is None:
            raise UsageError(
                "`--max-accuracy-drop` needs samples with labels",
                hint="give them: --samples data.npz, with an array `labels` beside the inputs",
            )

    def read(self, inputs: Sequence[InputSpec], given: Sequence[SampleSet]) -> "Wanted":
        """What is wanted, with the files that it names read. Raises UsageError where they are not so."""
        data = None if self.calibration is None else read_calibration(self.calibration, inputs)
        labels = None if self.samples is None else labels_of(self.samples, inputs, count(given))
        if labels is None and self.budgets.max_accuracy_drop is not None:
            raise UsageError(
                f"`--max-accuracy-drop` needs labels, and `{self.samples}` has no array `labels`",
                hint="add the right class of every sample: numpy.savez(path, x=x, labels=labels)",
            )
        return Wanted(self.precision, self.budgets, data, labels)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the stage looks at: the precision, the budgets, and the user's data."""

    precision: Precision
    budgets: Asked
    calibration: Calibration | None = None
    labels: Array | None = None


@dataclass(frozen=True, slots=True)
class Rounded:
    """A graph of fewer bits that passed its gate, and how."""

    model: ir.Model
    precision: Precision
    method: Method
    judged_on: JudgedOn
    judged: Judged
    budgets: Budgets
    kept: tuple[Kept, ...]
    outside: tuple[Outside, ...]
    sites: int
    calibration: Calibration | None


def _unsaid(what: str, done: int, of: int) -> None:
    """Nobody hears it."""


def quantise(  # each argument is what a stage before found
    model: ir.Model,
    original: Original,
    sets: Sequence[SampleSet],
    wanted: Wanted,
    *,
    provider: str = "cpu",
    said: Said = _unsaid,
) -> Rounded:
    """The graph in the precision that is wanted, which passed its gate; the one given is left as it is.

    `sets` are all samples of parity; the user's own are what is judged, or else the calibration data, or else
    the typical ones of those that were generated. Raises PrecisionError where it loses too much even with
    everything in float that can be, and UsageError where the samples are not what the budgets need.
    """
    _require_small(model, wanted.precision)
    data = wanted.calibration
    judged_on, chosen = _judged_on(sets, data)
    labels = wanted.labels if judged_on == "given" else None
    scores = scores_judged(judged_on, wanted.budgets)
    judge = Judge(original, chosen, labels, provider, scores=scores)
    allowed = budgets(wanted.precision, wanted.budgets)
    scheme, method, outside = _scheme(model, original, chosen, wanted, said)
    if not scheme.rounds(()):
        raise PrecisionError(
            f"nothing can be rounded to {wanted.precision}: no layer multiplies by constant float32 weights",
            hint="take --precision fp32",
        )
    found = fewest_kept(scheme, judge, allowed, said)
    require_agreement(found.judged, wanted.budgets)
    require_passed(wanted.precision, found.judged, allowed, _although(found, scheme))
    return Rounded(
        model=found.model,
        precision=wanted.precision,
        method=method,
        judged_on=judged_on,
        judged=found.judged,
        budgets=allowed,
        kept=found.kept,
        outside=outside,
        sites=len(scheme.sites),
        calibration=data,
    )


def _require_small(model: ir.Model, precision: Precision) -> None:
    if weights(model) > LARGEST:
        raise ExportError(
            f"the weights take {weights(model)} bytes, expected at most {LARGEST} for {precision}",
            hint="take --precision fp32, which may have them beside the file",
        )


def rounded_everywhere(
    model: ir.Model, original: Original, sets: Sequence[SampleSet], wanted: Wanted
) -> ir.Model:
    """The graph in the precision that is wanted, with nothing kept in float and judged by nobody.

    It is there to be timed: ranges are those of the first batch alone. Where nothing can be rounded, or
    float32 is wanted, it is the graph that was given.
    """
    if wanted.precision == "fp32":
        return model
    data = wanted.calibration
    first = None if data is None else replace(data, sets=data.sets[:1])
    _, chosen = _judged_on(sets, first)
    scheme, _, _ = _scheme(model, original, chosen[:1], replace(wanted, calibration=first), _unsaid)
    return scheme.rounded(()) if scheme.rounds(()) else model


def scores_judged(judged_on: str, asked: Asked) -> bool:
    """Whether the agreement of scores is: those of generated noise nearly tie, so only if the user asks."""
    return judged_on != "generated" or asked.min_agreement is not None


def require_agreement(judged: Judged, asked: Asked) -> None:
    """Raises UsageError where agreement is asked for, and no output has any."""
    if asked.min_agreement is not None and all(one.agreement is None for one in judged.losses):
        raise UsageError(
            "`--min-agreement` needs an output that is rows of scores, [samples, classes], or whole numbers",
            hint="leave it out, and judge by --max-error",
        )


def _judged_on(sets: Sequence[SampleSet], data: Calibration | None) -> tuple[JudgedOn, tuple[SampleSet, ...]]:
    given = tuple(samples for samples in sets if samples.given)
    if given:
        return "given", given
    if data is not None:
        return "calibration", data.sets
    return "generated", tuple(samples for samples in sets if samples.typical)


def _scheme(
    model: ir.Model, original: Original, chosen: Sequence[SampleSet], wanted: Wanted, said: Said
) -> tuple[Scheme, Method, tuple[Outside, ...]]:
    kinds = {name: type(module).__name__ for name, module in original.float32.named_modules()}
    found = sites(model, kinds)
    if wanted.precision == "fp16":
        limits = ranges(model, chosen, _counted("watch", len(chosen), said))
        half = Half(model, found, limits, kinds)
        return half, "fp16", half.outside
    data = wanted.calibration
    if data is None:
        return Dynamic(model, found), "dynamic", ()
    limits = ranges(model, data.sets, _counted("calibrate", len(data.sets), said))
    return Static(model, found, limits), "static", ()


def _counted(what: str, of: int, said: Said) -> Callable[[int], None]:
    return lambda done: said(what, done, of)


def _although(found: Found, scheme: Scheme) -> str:
    """What was kept in float and was not enough; nothing where nothing was."""
    if not found.kept:
        return ""
    return f", even with {len(found.kept)} of {len(scheme.sites)} places in float ({_shown(found.kept)})"


def _shown(kept: Sequence[Kept]) -> str:
    names = [f"`{one.site.layer}` ({one.site.kind})" for one in kept[:5]]
    return ", ".join(names) + (" ..." if len(kept) > 5 else "")

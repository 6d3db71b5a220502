"""Parity: the ONNX graph against the original, unfolded model in float64."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from adaptive_act.swapping.copying import copy_model
from convert.errors import ExportError, ParityError, SourceError
from convert.manifest.records import CoverageRecord
from convert.model_io.array import Array
from convert.model_io.forward import ArrayModel, LowestIndexFirst, advise_float32, in_float64, run_forward
from convert.model_io.given import count_undefined
from convert.model_io.outputs import name_outputs
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.criterion import Comparison, Run, compare, measure_scales
from convert.parity.nudge import nudge, shift

NUDGED_RUNS = 2
_FUNCTIONAL = "no module is; a function must be told: F.dropout(x, p, self.training)"


@dataclass(frozen=True, slots=True)
class Answers:
    """The model's outputs on one set, by name."""

    reference: Mapping[str, Array]
    """In float64."""
    originals: tuple[Mapping[str, Array], ...]
    """In its own precision; where the samples are finite, also on samples one rounding step away."""
    trees: int = 0
    """How many trees the model adds up."""


class Original:
    """The model as it was trained, in float32 and in float64; the module itself is left as it is."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        self.outputs = tuple(outputs)
        self.float32 = model
        self._float64: nn.Module | None = None
        self._remembered: list[tuple[SampleSet, Answers | None]] = []

    @property
    def float64(self) -> nn.Module:
        """The model in float64, made on first use."""
        if self._float64 is None:
            self._float64 = copy_model(self.float32).eval().requires_grad_(False).double()
        return self._float64

    def remember(self, sets: Sequence[SampleSet]) -> None:
        """The model's answers to these sets are kept, so that a later change of its weights does not show.

        The float64 model, which takes twice the memory, is freed until its next use. Raises SourceError where
        the model gives two answers to the same samples.
        """
        self.require_repeatable(sets[0])
        self._remembered.clear()
        self.remember_more(sets)

    def remember_more(self, sets: Sequence[SampleSet]) -> None:
        """The same for further sets, of which the first may be one that the model refuses."""
        self._remembered += [(samples, self._try_set(samples)) for samples in sets]
        self._float64 = None

    def select_accepted(self, sets: Sequence[SampleSet]) -> list[SampleSet]:
        """The sets without the optional ones that the model refuses."""
        return [samples for samples in sets if self._accepts(samples)]

    def _accepts(self, samples: SampleSet) -> bool:
        if not samples.optional:
            return True
        known = next((answers is not None for other, answers in self._remembered if other is samples), None)
        return self._try_set(samples) is not None if known is None else known

    def _try_set(self, samples: SampleSet) -> Answers | None:
        """The model's answers to a set; None where the set is optional and the model refuses it."""
        try:
            return self._compute(samples)
        except ExportError:
            if samples.optional:
                return None
            raise

    def require_repeatable(self, samples: SampleSet) -> None:
        """Raises SourceError where the model gives two answers to the same samples.

        Parity would take the difference for the rounding that it allows.
        """
        first, second = self.run_float32(samples.arrays), self.run_float32(samples.arrays)
        output = next((name for name, value in first.items() if not _is_same(value, second[name])), None)
        if output is None:
            return
        training = [
            f"`{name or 'the model'}`" for name, module in self.float32.named_modules() if module.training
        ]
        raise SourceError(
            f"the model gives other numbers at output `{output}` when it is asked the same again (samples "
            f"`{samples.name}`): it is random, or keeps state from call to call",
            hint="is a dropout left in training mode? "
            + (f"these modules are: {', '.join(training[:5])}" if training else _FUNCTIONAL),
        )

    def answer(self, samples: SampleSet) -> Answers:
        """The model's answers to a set, computed unless they are remembered."""
        return self._recall(samples) or self._compute(samples)

    def answer_once(self, samples: SampleSet) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """One answer in float64 and one in float32, computed unless they are remembered."""
        known = self._recall(samples)
        if known is not None:
            return known.reference, known.originals[0]
        return self.run_float64(samples.arrays), self.run_float32(samples.arrays)

    def _recall(self, samples: SampleSet) -> Answers | None:
        return next((answers for other, answers in self._remembered if other is samples), None)

    def _compute(self, samples: SampleSet) -> Answers:
        arrays = samples.arrays
        nudged = [self.run_float32(moved) for moved in self._nudge(arrays)] if samples.finite else []
        return Answers(self.run_float64(arrays), (self.run_float32(arrays), *nudged), self.trees)

    @property
    def trees(self) -> int:
        """How many trees the model adds up; 0 for any other."""
        return self.float32.trees if isinstance(self.float32, ArrayModel) else 0

    def _nudge(self, arrays: Sequence[Array]) -> list[list[Array]]:
        """The arrays, moved by a rounding: both ways past a threshold, for trees."""
        if isinstance(self.float32, ArrayModel) and self.float32.is_reference:
            return []
        if self.trees:
            return [shift(arrays, -1), shift(arrays, 1)]
        return [nudge(arrays, seed) for seed in range(NUDGED_RUNS)]

    def run_float64(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs in float64, by name. Raises ExportError where the model's code cannot do that."""
        wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
        model = self.float64  # copied before `in_float64` replaces functions that its code calls
        hint = advise_float32(self.float32) or "let its code follow the dtype of its inputs and weights"
        with in_float64():
            return self._run(model, wide, hint)

    def run_float32(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs in the model's own precision. Raises ExportError where it fails on these shapes."""
        with LowestIndexFirst():  # type: ignore[no-untyped-call]
            return self._run(self.float32, arrays, "the code must take any size that the inputs leave free")

    def _run(self, model: nn.Module, arrays: Sequence[Array], hint: str) -> dict[str, Array]:
        if isinstance(model, ArrayModel):
            return model.run_arrays(arrays)
        outputs = name_outputs(run_forward(model, arrays, hint), self.outputs)
        return {name: value.detach().cpu().numpy().copy() for name, value in outputs.items()}


def _is_same(first: Array, second: Array) -> bool:
    """Whether two runs agree; floating point numbers up to one unit in the last place of the largest."""
    if first.shape != second.shape or first.dtype.kind != "f":
        return np.array_equal(first, second)
    scale = np.abs(np.where(np.isfinite(first), first, 0)).max(initial=0.0)
    return np.allclose(first, second, rtol=0, atol=float(np.finfo(first.dtype).eps * scale), equal_nan=True)


@dataclass(frozen=True, slots=True)
class Parity:
    """Every comparison that was made."""

    comparisons: tuple[Comparison, ...]
    runs: tuple[Run, ...]
    tolerances: Mapping[str, float]
    coverage: CoverageRecord | None = None
    """What the samples exercise; None where that was not examined."""

    @property
    def worst(self) -> Comparison:
        """The comparison in which the file takes the largest share of its allowance."""
        return max(self.comparisons, key=lambda comparison: (not comparison.passed, comparison.used))

    @property
    def passed(self) -> bool:
        """Whether every output passed in every set."""
        return self.worst.passed


@dataclass(frozen=True, slots=True)
class Culprit:
    """One line on the first difference, and the rewrite rule that caused it, if one did."""

    text: str
    rule: str | None = None


def verify(
    original: Original,
    session: Session,
    sets: Sequence[SampleSet],
    tolerances: Mapping[str, float],
    find_culprit: Callable[[SampleSet, str], Culprit],
) -> Parity:
    """The comparisons of every output in every set, all of which pass.

    Raises ParityError otherwise. It names the output, the worst number, and the culprit that `find_culprit`
    returns for the set and output where the file exceeds its allowance most.
    """
    try:
        parity = measure_parity(original, session, sets, tolerances)
    except ExportError as error:
        raise ExportError(str(error), _find_run_advice(original, session, sets) or error.hint) from error
    if not parity.passed:
        worst = parity.worst
        samples = next(samples for samples in sets if samples.name == worst.run)
        culprit = find_culprit(samples, worst.output)
        hint = "; ".join(filter(None, (find_advice(parity, sets), culprit.text)))
        raise ParityError(describe_failure(worst), hint=hint, rule=culprit.rule)
    return parity


def find_advice(parity: Parity, sets: Sequence[SampleSet]) -> str:
    """What to do about a failure at certain sizes; empty where samples of the usual sizes fail too.

    Of several, the last: those of a condition come last and are the most precise.
    """
    failed = {comparison.run for comparison in parity.comparisons if not comparison.passed}
    failing = [samples for samples in sets if samples.name in failed]
    if any(samples.typical and not samples.advice for samples in failing):
        return ""
    return next((samples.advice for samples in reversed(failing) if samples.advice), "")


def _find_run_advice(original: Original, session: Session, sets: Sequence[SampleSet]) -> str:
    """What to do about a file that fails to run at certain sizes; empty where it does at the usual ones."""
    failing = [samples for samples in original.select_accepted(sets) if not _can_run(session, samples)]
    if not all(samples.optional for samples in failing):
        return ""
    return next((samples.advice for samples in reversed(failing) if samples.advice), "")


def _can_run(session: Session, samples: SampleSet) -> bool:
    try:
        session.run(samples.arrays)
    except ExportError:
        return False
    return True


def measure_parity(
    original: Original, session: Session, sets: Sequence[SampleSet], tolerances: Mapping[str, float]
) -> Parity:
    """The comparisons of every output in every set, whether they pass or not."""
    runs = tuple(run_set(original, session, samples) for samples in original.select_accepted(sets))
    typical_scales = measure_scales(runs)
    comparisons = tuple(
        compare(run, output, typical_scales[output], tolerances.get(output, 0.0))
        for run in runs
        for output in original.outputs
    )
    return Parity(comparisons, runs, tolerances)


def run_set(original: Original, session: Session, samples: SampleSet) -> Run:
    """One set through the original, in float64 and several times in float32, and through the graph."""
    return make_run(samples, original.answer(samples), session.run(samples.arrays))


def make_run(samples: SampleSet, answers: Answers, file: Mapping[str, Array]) -> Run:
    """The results of a set: the original's answers, and the file's."""
    first = samples.arrays[0]
    return Run(
        name=samples.name,
        samples=first.shape[0] if first.ndim else 1,
        typical=samples.typical,
        finite=samples.finite,
        reference=answers.reference,
        originals=answers.originals,
        trees=answers.trees,
        file=file,
        undefined=samples.given and count_undefined(samples.arrays) != (0, 0),
    )


def describe_failure(worst: Comparison) -> str:
    """The failure in one line: the output, the samples, and the worst number against what is allowed."""
    if not worst.errors.size and not np.isfinite(worst.file_error):
        return (
            f"parity failed for output `{worst.output}` on samples `{worst.run}`: the file gives shape "
            f"{list(worst.worst)} or another type than the model"
        )
    return (
        f"parity failed for output `{worst.output}` on samples `{worst.run}`: |Δ| {worst.file_error:.3g} "
        f"at {list(worst.worst)}, expected {worst.expected:.9g}, got {worst.got:.9g}, "
        f"allowed {worst.allowed:.3g} (the model's own float32 error there: {worst.original_error:.3g})"
    )

"""The fifth stage: the ONNX graph against the original, unfolded model in float64."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from convert.errors import ExportError, ParityError, SourceError
from convert.model_io.forward import forward, in_float64
from convert.model_io.outputs import named_outputs
from convert.model_io.runtime import Session
from convert.model_io.samples import Array, SampleSet
from convert.parity.criterion import Comparison, Run, compare, scales

NUDGED_RUNS = 2
_FUNCTIONAL = "no module is; a function must be told: F.dropout(x, p, self.training)"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model computes on one set."""

    reference: Mapping[str, Array]
    """In float64."""
    originals: tuple[Mapping[str, Array], ...]
    """In its own precision; then, where the samples are finite, on numbers just beside them."""


class Original:
    """The model as it was trained, in float32 and in float64; the given module is left as it is."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        self.outputs = tuple(outputs)
        self.float32 = model
        self._wide: nn.Module | None = None
        self._known: Sequence[tuple[SampleSet, Answers | None]] = ()

    @property
    def float64(self) -> nn.Module:
        """The model in float64, made when it is first asked for."""
        if self._wide is None:
            self._wide = copy.deepcopy(self.float32).eval().requires_grad_(False).double()
        return self._wide

    def learn(self, sets: Sequence[SampleSet]) -> None:
        """From here on what the model computes on these sets is known, whatever becomes of its weights.

        The float64 model, which takes twice the memory, is gone until it is asked for again. Raises
        SourceError where the model does not answer the same twice.
        """
        self.require_repeatable(sets[0])
        self._known = [(samples, self._tried(samples)) for samples in sets]
        self._wide = None

    def taken(self, sets: Sequence[SampleSet]) -> list[SampleSet]:
        """The sets without those, among the optional ones, that the model refuses."""
        return [samples for samples in sets if self._takes(samples)]

    def _takes(self, samples: SampleSet) -> bool:
        if not samples.optional:
            return True
        known = next((answers is not None for one, answers in self._known if one is samples), None)
        return self._tried(samples) is not None if known is None else known

    def _tried(self, samples: SampleSet) -> Answers | None:
        """What the model computes on a set, None where it refuses one that is optional."""
        try:
            return self._computed(samples)
        except ExportError:
            if samples.optional:
                return None
            raise

    def require_repeatable(self, samples: SampleSet) -> None:
        """Raises SourceError where the model gives other answers to the same samples when it is asked again.

        What is random, or changes with each call, would be taken for the rounding that parity allows.
        """
        first, second = self.own(samples.arrays), self.own(samples.arrays)
        output = next((name for name, value in first.items() if not _same(value, second[name])), None)
        if output is None:
            return
        training = [f"`{name or 'the model'}`" for name, one in self.float32.named_modules() if one.training]
        raise SourceError(
            f"the model gives other numbers at output `{output}` when it is asked the same again (samples "
            f"`{samples.name}`): it is random, or keeps state from call to call",
            hint="is a dropout left in training mode? "
            + (f"these modules are: {', '.join(training[:5])}" if training else _FUNCTIONAL),
        )

    def answers(self, samples: SampleSet) -> Answers:
        """What the model computes on a set, computed now unless that is known."""
        return self._found(samples) or self._computed(samples)

    def both(self, samples: SampleSet) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """What the model computes on a set in float64 and in its own precision, now unless that is known."""
        known = self._found(samples)
        if known is not None:
            return known.reference, known.originals[0]
        return self.reference(samples.arrays), self.own(samples.arrays)

    def _found(self, samples: SampleSet) -> Answers | None:
        return next((answers for one, answers in self._known if one is samples), None)

    def _computed(self, samples: SampleSet) -> Answers:
        arrays = samples.arrays
        nudged = [self.own(beside(arrays, seed)) for seed in range(NUDGED_RUNS)] if samples.finite else []
        return Answers(self.reference(arrays), (self.own(arrays), *nudged))

    def reference(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """What the model computes in float64. ExportError where its code cannot run in float64."""
        wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
        model = self.float64  # made as it is, not with what the code asks for exchanged
        with in_float64():
            return self._run(model, wide, "let its code follow the dtype of its inputs and weights")

    def own(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """What the model computes in its own precision. ExportError where it fails on these shapes."""
        return self._run(self.float32, arrays, "the code must take any size that the inputs leave free")

    def _run(self, model: nn.Module, arrays: Sequence[Array], hint: str) -> dict[str, Array]:
        outputs = named_outputs(forward(model, arrays, hint), self.outputs)
        return {name: value.detach().cpu().numpy().copy() for name, value in outputs.items()}


def _same(first: Array, second: Array) -> bool:
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

    @property
    def worst(self) -> Comparison:
        """Where the file takes the largest share of its allowance."""
        return max(self.comparisons, key=lambda comparison: (not comparison.passed, comparison.used))

    @property
    def passed(self) -> bool:
        """Whether every output passed in every set."""
        return self.worst.passed


@dataclass(frozen=True, slots=True)
class Culprit:
    """One line on what first differs, and the rewrite rule that made it differ, where one did."""

    text: str
    rule: str | None = None


def verify(
    original: Original,
    session: Session,
    sets: Sequence[SampleSet],
    tolerances: Mapping[str, float],
    culprit: Callable[[SampleSet, str], Culprit],
) -> Parity:
    """The comparisons of every output in every set, where all of them pass.

    Raises ParityError otherwise, naming the output, the worst number, and what `culprit` says of the set and
    output where the file misses its allowance most.
    """
    parity = measure(original, session, sets, tolerances)
    if not parity.passed:
        worst = parity.worst
        samples = next(samples for samples in sets if samples.name == worst.run)
        found = culprit(samples, worst.output)
        raise ParityError(failure(worst), hint=found.text, rule=found.rule)
    return parity


def measure(
    original: Original, session: Session, sets: Sequence[SampleSet], tolerances: Mapping[str, float]
) -> Parity:
    """The comparisons of every output in every set, whether they pass or not."""
    runs = tuple(run_set(original, session, samples) for samples in original.taken(sets))
    usual = scales(runs)
    comparisons = tuple(
        compare(run, output, usual[output], tolerances.get(output, 0.0))
        for run in runs
        for output in original.outputs
    )
    return Parity(comparisons, runs, tolerances)


def run_set(original: Original, session: Session, samples: SampleSet) -> Run:
    """What the original says of one set, in float64 and in float32 several times, and what the graph says."""
    arrays = samples.arrays
    answers = original.answers(samples)
    return Run(
        name=samples.name,
        samples=arrays[0].shape[0] if arrays[0].ndim else 1,
        typical=samples.typical,
        finite=samples.finite,
        reference=answers.reference,
        originals=answers.originals,
        file=session.run(arrays),
    )


def beside(arrays: Sequence[Array], seed: int) -> list[Array]:
    """The arrays with each floating point number moved by one unit in the last place, up or down."""
    random = np.random.default_rng(seed)
    return [_moved(array, random) if array.dtype.kind == "f" else array for array in arrays]


def _moved(array: Array, random: np.random.Generator) -> Array:
    towards: Any = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    moved = np.nextafter(array, towards)
    return np.where((array == 0) | ~np.isfinite(moved), array, moved)


def failure(worst: Comparison) -> str:
    """What failed, in one line: the output, the samples, and the worst number against what was allowed."""
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

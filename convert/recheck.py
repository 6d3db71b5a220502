"""A finished file against its model once more: on another machine, provider or day, or with other samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.artefact.file import serialise
from convert.errors import ConversionError, UsageError
from convert.evidence.inspection import Inspected
from convert.model_io.inputs import InputSpec, distinct
from convert.model_io.runtime import PROVIDERS, Session, available
from convert.model_io.samples import SampleSet, alone, generated, read_samples
from convert.parity.divergence import first_difference
from convert.parity.locate import Suspects
from convert.parity.tolerance import require_known, require_shares
from convert.parity.verify import Original, Parity, failure, measure
from convert.parity.workload import rows
from convert.precision.budgets import Asked
from convert.precision.budgets import budgets as allowances
from convert.precision.recheck import Rejudged, asked_of, rejudged, rounded_to
from convert.rewriting.optimise import Dropped, kept, optimise
from convert.rewriting.plan import Plan, table
from convert.sources.export import graph_of
from convert.sources.fold import fold
from convert.sources.load import load
from convert.sources.source import Source
from convert.tuning.record import plan_of
from convert.tuning.sites import groups

_ELSEWHERE = (
    "on the CPU the file passes with this sample alone: another batch or provider makes the difference"
)
STAGES = ("load", "run", "locate")


@dataclass(frozen=True, slots=True)
class Request:
    """What the user says of the model, the samples and where to run the file."""

    factory: str | None = None
    factory_kwargs: Mapping[str, Any] | None = None
    inputs: Sequence[InputSpec] = ()
    samples: Path | None = None
    tolerances: Mapping[str, float] | None = None
    provider: str = "cpu"
    budgets: Asked = field(default_factory=Asked)
    """Of a file of fewer bits."""
    allow_pickle: bool = False


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What was found, whether it passed or not."""

    parity: Parity | None
    """None for a file of fewer bits, which `gate` judges."""
    failure: str | None
    """What failed, in one line; None where all passed."""
    culprit: str | None
    """What differs first; None where all passed."""
    same_source: bool | None
    """Whether the file was made from this very model file; None where it does not say."""
    gate: Rejudged | None = None


def recheck(
    model: Path,
    file: Inspected,
    request: Request,
    started: Callable[[str], None] = lambda stage: None,
) -> Rechecked:
    """The comparison of the file with the model, made anew on generated samples and the user's own.

    Raises UsageError or SourceError where the two cannot be compared, since their inputs or outputs differ.
    """
    available(request.provider)
    started("load")
    given = request.inputs or inputs_of(file.graph)
    source = load(model, request.factory, request.factory_kwargs, given, allow_pickle=request.allow_pickle)
    original = Original(source.model, _outputs(source, file.graph))
    inputs = _in_order(source, file.graph)
    opened = partial(Session, file.content, inputs, request.provider, folder=file.path.parent)
    own = read_samples(request.samples, source.inputs) if request.samples is not None else ()
    sets = (*generated(source.inputs, rows(original, source)), *own)
    manifest = file.manifest
    same = None if manifest is None else manifest.source_digest == source.digest
    precision = rounded_to(manifest)
    started("run")
    if precision is not None and manifest is not None and manifest.rounding is not None:
        _require_no_tolerance(request, precision)
        original.require_repeatable(sets[0])
        wanted = asked_of(precision, request.samples, request.budgets, source.inputs, own)
        gate = rejudged(original, opened(), sets, manifest.rounding, wanted)
        return Rechecked(None, gate.failure, gate.advice, same, gate)
    allowances("fp32", request.budgets)
    tolerances = _tolerances(request, original)
    original.learn(sets)  # first, so that its float64 model is gone when the session is there
    parity = measure(original, opened(), sets, tolerances)
    if parity.passed:
        return Rechecked(parity, None, None, same)
    started("locate")
    culprit = _culprit(source, original, file, _hardest(parity, sets)) + _written_with(file)
    return Rechecked(parity, failure(parity.worst), culprit, same)


def inputs_of(graph: ir.Model) -> tuple[InputSpec, ...]:
    """The inputs that the graph takes, in its order. UsageError where one of them has no type or shape."""
    specs = []
    for value in graph.graph.inputs:
        if value.name in graph.graph.initializers:
            continue  # a weight that older files list among the inputs
        if value.dtype is None or value.shape is None:
            raise UsageError(
                f"the file does not say what its input `{value.name}` is",
                hint=f"describe it: --input '{value.name}:float32[N,3,32,32]'",
            )
        sizes = (
            size if isinstance(size, int) else size.value or f"{value.name}_{axis}"
            for axis, size in enumerate(value.shape)
        )
        specs.append(InputSpec(value.name or "", value.dtype.numpy().name, tuple(sizes)))
    return distinct(specs)


def _in_order(source: Source, graph: ir.Model) -> list[str]:
    """The names of the model's inputs, in the model's order, where the file has the same ones."""
    ours, theirs = [spec.name for spec in source.inputs], [spec.name for spec in inputs_of(graph)]
    if set(ours) != set(theirs):
        raise UsageError(f"the model's inputs are {ours}, and the file's are {theirs}")
    return ours


def _outputs(source: Source, graph: ir.Model) -> list[str]:
    """The names of the model's outputs, in the model's order: its own where the file has the same ones."""
    theirs = [value.name or "" for value in graph.graph.outputs]
    if source.outputs is not None and set(source.outputs) == set(theirs):
        return list(source.outputs)
    if source.outputs is not None:
        raise UsageError(f"the model's outputs are {list(source.outputs)}, and the file's are {theirs}")
    return theirs


def _require_no_tolerance(request: Request, precision: str) -> None:
    if request.tolerances:
        raise UsageError(
            f"`--tolerance` is of parity, and the file is {precision}, which has a gate of its own",
            hint="allow it more by --max-error",
        )


def _tolerances(request: Request, original: Original) -> Mapping[str, float]:
    """What the user allows: what the file says of its tolerances is no reason to trust it."""
    tolerances = request.tolerances or {}
    require_shares(tolerances)
    require_known(tolerances, original.outputs)
    return tolerances


def _written_with(file: Inspected) -> str:
    """The tolerances that the file was written with, as options; nothing where there were none."""
    outputs = () if file.manifest is None else file.manifest.parity.outputs
    options = [f"--tolerance {one.name}={one.tolerance:g}" for one in outputs if one.tolerance is not None]
    return f"; the file was written with {' '.join(options)}" if options else ""


def _hardest(parity: Parity, sets: Sequence[SampleSet]) -> tuple[SampleSet, SampleSet]:
    """The one sample at which the file fails most, and all of its set: a channel may fail by them alone."""
    worst = parity.worst
    samples = next(samples for samples in sets if samples.name == worst.run)
    return alone(samples, worst.worst[0] if worst.worst else 0), samples


def _culprit(
    source: Source, original: Original, file: Inspected, hardest: tuple[SampleSet, SampleSet]
) -> str:
    """What differs first, as far as this machine's CPU can tell."""
    inputs = [spec.name for spec in source.inputs]
    here = Session(file.content, inputs, folder=file.path.parent)
    failing = [samples for samples in hardest if not measure(original, here, [samples], {}).passed]
    if not failing:
        return _ELSEWHERE
    samples = failing[0]
    good = None
    try:
        named = replace(source, outputs=original.outputs)
        exported = graph_of(named, fold(source.model), file.graph.opset_imports[""])
        rules, plan = kept(_dropped(file)), _plan(file, exported)
        optimised = optimise(exported, rules, plan=plan)
        again = measure(original, Session(serialise(optimised.model), inputs), [samples], {})
        if not again.passed:
            suspects = Suspects(original, exported, optimised.firings, rules, plan)
            return suspects.culprit(samples, again.worst.output).text
        good = optimised.model
    except ConversionError:
        pass  # what the file was made by is not here: it is compared by its numbers alone
    return first_difference(original, _whole(file), good, samples)


def _dropped(file: Inspected) -> list[Dropped]:
    """The rules that the file was made without."""
    records = () if file.manifest is None else file.manifest.dropped
    return [Dropped(one.rule, one.reason) for one in records]


def _plan(file: Inspected, exported: ir.Model) -> Plan:
    """The forms that the file was made with: those of its provider's table, and those that were measured."""
    manifest = file.manifest
    provider = manifest.provider if manifest is not None and manifest.provider in PROVIDERS else "cpu"
    untuned = Plan(table(provider))
    if manifest is None or manifest.tuning is None:
        return untuned
    found = groups(exported, kept(_dropped(file)), untuned.forms)
    known = {site.place for group in found for site in group.sites}
    return plan_of(manifest.tuning.chosen, untuned.forms, known) or untuned


def _whole(file: Inspected) -> ir.Model:
    """The graph with the weights that lie beside the file."""
    whole = file.graph.clone()
    ir.external_data.set_base_dir(whole.graph, file.path.parent)
    ir.external_data.load_to_model(whole)
    return whole

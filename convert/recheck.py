"""A finished file compared with its model again: on another machine or provider, or with other samples."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir

from adaptact.providers.catalogue import PROVIDERS
from convert.artefact.file import serialise
from convert.errors import ConversionError, UsageError
from convert.evidence.inspection import OnnxFile
from convert.model_io.array import name_dtype
from convert.model_io.given import describe_undefined, read_samples
from convert.model_io.inputs import InputSpec, add_size_bounds, require_distinct
from convert.model_io.runtime import Session, require_provider
from convert.model_io.samples import SampleSet, take_sample
from convert.parity.coverage import examine
from convert.parity.divergence import find_first_difference
from convert.parity.locate import CulpritSearch
from convert.parity.sampling import choose_samples
from convert.parity.sizes import sample_recorded
from convert.parity.small_signals import find_losses
from convert.parity.tolerance import require_known, require_shares
from convert.parity.verify import Original, Parity, describe_failure, measure_parity
from convert.parity.weakness import judge
from convert.precision.budgets import BudgetOptions, resolve_budgets
from convert.precision.computed import computed_in
from convert.precision.recheck import GateResult, read_precision, read_task, recheck_gate
from convert.rewriting.optimise import DroppedRule, optimise, remaining_rules
from convert.rewriting.plan import FormPlan, default_forms
from convert.sources.export import build_graph, list_output_names
from convert.sources.fold import fold
from convert.sources.load import load
from convert.sources.source import Source
from convert.tuning.record import read_plan
from convert.tuning.sites import group_sites

_ELSEWHERE = (
    "on the CPU the file passes with this sample alone: another batch or provider makes the difference"
)
STAGES = ("load", "run", "locate")


@dataclass(frozen=True, slots=True)
class RecheckOptions:
    """The options of a comparison: how to load the model, the samples, and where to run the file."""

    factory: str | None = None
    factory_kwargs: Mapping[str, Any] | None = None
    inputs: Sequence[InputSpec] = ()
    samples: Path | None = None
    tolerances: Mapping[str, float] | None = None
    provider: str = "cpu"
    budgets: BudgetOptions = field(default_factory=BudgetOptions)
    """For a file of fewer bits."""
    allow_pickle: bool = False
    state_key: str | None = None
    weights: Path | None = None
    """Of a library's model, as `timm:resnet50`."""
    random_weights: bool = False


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """The result of a comparison, whether the file passed or not."""

    parity: Parity | None
    """None for a file of fewer bits, which `gate` judges."""
    failure: str | None
    """The failure in one line; None where all passed."""
    culprit: str | None
    """The first difference; None where all passed."""
    same_source: bool | None
    """Whether the file was made from this very model file; None where the file does not say."""
    gate: GateResult | None = None
    notes: tuple[str, ...] = ()
    """What to know of the user's samples, a line each."""


def recheck(
    model: Path,
    file: OnnxFile,
    options: RecheckOptions,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> RecheckResult:
    """The file compared with the model again, on generated samples and the user's own.

    `on_stage` is called as each stage of STAGES begins. Raises UsageError or SourceError where the two cannot
    be compared, since their inputs or outputs differ.
    """
    require_provider(options.provider)
    on_stage("load")
    source = _load(model, file, options)
    original = Original(source.model, _name_outputs(source, file.graph))
    names = _order_inputs(source, file.graph)
    open_session = partial(Session, file.content, names, options.provider, folder=file.path.parent)
    own_sets = read_samples(options.samples, source.inputs) if options.samples is not None else ()
    sampling = choose_samples(original, source)
    manifest = file.manifest
    tried = () if manifest is None else manifest.tried_sizes
    recorded = sample_recorded(source, tried, sampling.ranges, sampling.work)
    sets = (*sampling.sets, *own_sets, *recorded)
    notes = describe_undefined(own_sets, source.inputs)
    same_source = None if manifest is None else manifest.source_digest == source.digest
    precision = read_precision(manifest)
    on_stage("run")
    if precision is not None and manifest is not None and manifest.rounding is not None:
        _require_no_tolerance(options, precision)
        original.require_repeatable(sets[0])
        task = read_task(precision, options.samples, options.budgets, source.inputs, own_sets)
        session = open_session(precision=computed_in(precision, options.provider))
        gate = recheck_gate(original, session, sets, manifest.rounding, task)
        return RecheckResult(None, gate.failure, gate.advice, same_source, gate, notes)
    resolve_budgets("fp32", options.budgets)
    tolerances = _check_tolerances(options, original)
    original.remember(sets)  # first, so that its float64 model is freed before the session takes memory
    trials = examine(original, source, sampling, own_sets)
    session = open_session()
    losses = find_losses(original, session, trials.small, tolerances)
    coverage = judge(trials, original, source, _load_weights(file), losses)
    parity = replace(measure_parity(original, session, sets, tolerances), coverage=coverage)
    if parity.passed:
        return RecheckResult(parity, None, None, same_source, notes=notes)
    on_stage("locate")
    culprit = _find_culprit(source, original, file, _pick_hardest(parity, sets)) + _describe_options(file)
    return RecheckResult(parity, describe_failure(parity.worst), culprit, same_source, notes=notes)


def _load(model: Path, file: OnnxFile, options: RecheckOptions) -> Source:
    """The model, with the user's inputs or else those of the file."""
    return load(
        model,
        options.factory,
        options.factory_kwargs,
        options.inputs or _read_bounded_inputs(file),
        allow_pickle=options.allow_pickle,
        state_key=options.state_key,
        weights=options.weights,
        random_weights=options.random_weights,
    )


def _read_bounded_inputs(file: OnnxFile) -> tuple[InputSpec, ...]:
    """The inputs of the file, their sizes within the bounds that its manifest records."""
    inputs = read_inputs(file.graph)
    return inputs if file.manifest is None else add_size_bounds(inputs, file.manifest.sizes)


def read_inputs(graph: ir.Model) -> tuple[InputSpec, ...]:
    """The graph's inputs, in its order. Raises UsageError where an input has no type or shape."""
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
        specs.append(InputSpec(value.name or "", name_dtype(value.dtype.numpy()), tuple(sizes)))
    return require_distinct(specs)


def _order_inputs(source: Source, graph: ir.Model) -> list[str]:
    """The names of the inputs in the model's order. Raises UsageError where the file has others."""
    ours, theirs = [spec.name for spec in source.inputs], [spec.name for spec in read_inputs(graph)]
    if set(ours) != set(theirs):
        raise UsageError(f"the model's inputs are {ours}, and the file's are {theirs}")
    return ours


def _name_outputs(source: Source, graph: ir.Model) -> list[str]:
    """The names of the outputs in the model's order, or the file's where the source names none of these.

    A dictionary or the like that the model returns names them too, and clients ask for them by name.
    """
    theirs = [value.name or "" for value in graph.graph.outputs]
    ours = source.outputs
    if ours is None:
        with contextlib.suppress(UsageError):  # a name of the model's is an input's, as none of the file's is
            ours = list_output_names(source.model, source.inputs)
    if ours is not None and set(ours) == set(theirs):
        return list(ours)
    if source.outputs is not None:
        raise UsageError(f"the model's outputs are {list(source.outputs)}, and the file's are {theirs}")
    return theirs


def _require_no_tolerance(options: RecheckOptions, precision: str) -> None:
    if options.tolerances:
        raise UsageError(
            f"`--tolerance` is of parity, and the file is {precision}, which has a gate of its own",
            hint="allow it more by --max-error",
        )


def _check_tolerances(options: RecheckOptions, original: Original) -> Mapping[str, float]:
    """The user's tolerances; those that the file states are no reason to trust it."""
    tolerances = options.tolerances or {}
    require_shares(tolerances)
    require_known(tolerances, original.outputs)
    return tolerances


def _describe_options(file: OnnxFile) -> str:
    """The tolerances and bounds of numbers that the file was written with; empty where there were none."""
    if file.manifest is None:
        return ""
    options = [
        f"--tolerance {output.name}={output.tolerance:g}"
        for output in file.manifest.parity.outputs
        if output.tolerance is not None
    ]
    options += [
        f"--input '{record.name}:{record.dtype}[{','.join(map(str, record.shape))}]<{record.below}'"
        for record in file.manifest.inputs
        if record.below is not None
    ]
    return f"; the file was written with {' '.join(options)}" if options else ""


def _pick_hardest(parity: Parity, sets: Sequence[SampleSet]) -> tuple[SampleSet, SampleSet]:
    """The sample at which the file fails most, and its whole set: a channel may fail only over the set."""
    worst = parity.worst
    samples = next(samples for samples in sets if samples.name == worst.run)
    return take_sample(samples, worst.worst[0] if worst.worst else 0), samples


def _find_culprit(
    source: Source, original: Original, file: OnnxFile, hardest: tuple[SampleSet, SampleSet]
) -> str:
    """The first difference, as far as this machine's CPU can tell."""
    inputs = [spec.name for spec in source.inputs]
    cpu_session = Session(file.content, inputs, folder=file.path.parent)
    failing = [
        samples for samples in hardest if not measure_parity(original, cpu_session, [samples], {}).passed
    ]
    if not failing:
        return _ELSEWHERE
    samples = failing[0]
    good = None  # the model converted again, where that passes
    try:
        named = replace(source, outputs=original.outputs)
        exported = build_graph(named, fold(source.model), file.graph.opset_imports[""]).model
        rules, plan = remaining_rules(_read_dropped(file)), _read_plan(file, exported)
        optimised = optimise(exported, rules, plan=plan)
        parity = measure_parity(original, Session(serialise(optimised.model), inputs), [samples], {})
        if not parity.passed:
            search = CulpritSearch(original, exported, optimised.firings, rules, plan)
            return search.find(samples, parity.worst.output).text
        good = optimised.model
    except ConversionError:
        pass  # it cannot be converted again here: the file is compared by its numbers alone
    return find_first_difference(original, _load_weights(file), good, samples)


def _read_dropped(file: OnnxFile) -> list[DroppedRule]:
    """The rules that the file was made without."""
    records = () if file.manifest is None else file.manifest.dropped
    return [DroppedRule(record.rule, record.reason) for record in records]


def _read_plan(file: OnnxFile, exported: ir.Model) -> FormPlan:
    """The forms that the file was made with: its provider's default ones, and those that were measured."""
    manifest = file.manifest
    provider = manifest.provider if manifest is not None and manifest.provider in PROVIDERS else "cpu"
    untuned = FormPlan(default_forms(provider))
    if manifest is None or manifest.tuning is None:
        return untuned
    groups = group_sites(exported, remaining_rules(_read_dropped(file)), untuned.forms)
    known = {site.place for group in groups for site in group.sites}
    return read_plan(manifest.tuning.chosen, untuned.forms, known) or untuned


def _load_weights(file: OnnxFile) -> ir.Model:
    """The graph with the weights that lie beside the file."""
    whole = file.graph.clone()
    ir.external_data.set_base_dir(whole.graph, file.path.parent)
    ir.external_data.load_to_model(whole)
    return whole

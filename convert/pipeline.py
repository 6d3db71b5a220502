"""From a PyTorch file to an ONNX file that passed parity, one line a stage."""

import contextlib
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.artefact.external import LARGEST, PlacedModel, count_weight_bytes, place_weights
from convert.artefact.file import append_manifest, require_apart, require_writable, serialise, write_model
from convert.artefact.placement import Placement
from convert.artefact.signing import make_signer
from convert.artefact.stored_graph import read_graph, store_graph
from convert.artefact.tokenizer_file import write_tokenizer
from convert.errors import ExportError, ParityError, PrecisionError
from convert.evidence.baseline import find_reaching, record_baseline
from convert.evidence.collect import collect_evidence
from convert.manifest.manifest import Manifest
from convert.manifest.records import TuningRecord
from convert.model_io.given import read_samples
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session, require_provider
from convert.model_io.samples import SampleSet
from convert.parity.coverage import Trials, examine
from convert.parity.locate import CulpritSearch, find_refused_rule, skip_search
from convert.parity.originals import make_original
from convert.parity.sampling import choose_samples
from convert.parity.sizes import sample_doubtful
from convert.parity.small_signals import find_losses
from convert.parity.tolerance import require_shares
from convert.parity.verify import Original, Parity, verify
from convert.parity.weakness import judge
from convert.precision.budgets import BudgetOptions, Precision
from convert.precision.quantise import PrecisionOptions, RoundingTask, quantise, round_everywhere
from convert.precision.record import record_rounding
from convert.rewriting.optimise import DroppedRule, OptimisedGraph, optimise, remaining_rules
from convert.rewriting.plan import FormPlan, default_forms
from convert.sources.described import UNCHANGED, GivenDescription, describe, require_fitting
from convert.sources.export import build_graph
from convert.sources.fold import fold
from convert.sources.load import load_request
from convert.sources.opset import DEFAULT_OPSET
from convert.sources.source import Source, SourceRequest
from convert.tuning.search import TuningTask
from convert.tuning.timing import Target
from convert.tuning.tune import TuningOptions, TuningResult, drop_rule, reject_forms, tune

STAGES = ("load", "reference", "fold", "export", "tune", "optimise", "verify", "write")
"""In order; `tune` only where it is asked for."""
QUANTISE = "quantise"
"""The stage before `write`, where fewer bits than float32 are asked for."""
TUNING = "tuning"
"""The name of what is dropped where the chosen forms broke parity together, and no rule of them alone."""
COLLECTED = 64 * 2**20  # bytes: more of weights are worth the 0.2 s that the collector takes


def convert(  # noqa: PLR0913  # each argument is an option of the command
    source: Path,
    destination: Path,
    *,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
    samples: Path | None = None,
    allow_pickle: bool = False,
    state_key: str | None = None,
    external_data: Placement = "auto",
    opset: int = DEFAULT_OPSET,
    tolerances: Mapping[str, float] | None = None,
    provider: str = "cpu",
    tuning: TuningOptions | None = None,
    precision: Precision = "fp32",
    calibration: Path | None = None,
    budgets: BudgetOptions | None = None,
    sign: Path | None = None,
    password: str | None = None,
    weights: Path | None = None,
    random_weights: bool = False,
    given: GivenDescription = UNCHANGED,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[str], None] = lambda detail: None,
) -> Manifest:
    """The manifest of the ONNX file now at `destination`, which passed parity with the model in `source`.

    `source` may be `timm:resnet50` or the like, with `weights` or random ones; `given` is its description.
    `state_key` chooses among several state_dicts.
    `tolerances` allows an output, by name, an error of that share of its scale beyond the criterion.
    Forms are those of `provider`'s table, or what `tuning` finds faster on the provider that it names.
    `precision` other than fp32 rounds the graph that passed parity, and `budgets`, or else strict ones, judge
    the result; `calibration` names the data that static int8 takes its ranges from.
    `sign` names the private key that signs the file, `password` opens that key.
    `on_stage` is called as each stage of STAGES begins, `on_progress` with what is timed or rounded now.
    Raises a ConversionError where anything fails, and then nothing was written.
    """
    require_writable(destination)
    require_apart(source, destination)
    require_shares(tolerances or {})
    provider = tuning.provider if tuning is not None else provider
    require_provider(provider)
    rounding = PrecisionOptions(precision, calibration, samples, budgets or BudgetOptions())
    rounding.require_consistent()
    signer = make_signer(sign, password)

    on_stage("load")
    request = SourceRequest(
        source, factory, factory_kwargs, inputs, allow_pickle, state_key, weights, random_weights
    )
    loaded = describe(load_request(request), given)
    own_sets = read_samples(samples, loaded.inputs) if samples is not None else ()
    rounding_task = rounding.read(loaded.inputs, own_sets)
    tuning = tuning.with_batches(loaded.inputs) if tuning is not None else None
    on_stage("reference")  # before the export takes its memory, and before anything else has the weights
    original = make_original(loaded, tolerances or {})
    sampling = choose_samples(original, loaded)
    sets = (*sampling.sets, *own_sets)
    trials = None
    with contextlib.suppress(ExportError):  # of a fixed size the export says more; `verify` fails again
        original.remember(sets)
        trials = examine(original, loaded, sampling, own_sets)
    on_stage("fold")
    folded = fold(loaded.model)
    on_stage("export")
    exported = build_graph(loaded, folded, opset)
    require_fitting(given, exported.model)
    doubtful = sample_doubtful(loaded, exported.doubtful_sizes, sampling.ranges, sampling.work)
    original.remember_more(doubtful)
    sets = (*sets, *doubtful)
    file_options = _FileOptions(
        destination, provider, external_data, tolerances or {}, tuning, rounding_task, signer
    )
    work = _Conversion(loaded, original, exported.model, sets, trials, file_options, on_stage, on_progress)
    manifest = work.write_exact_file()
    write_tokenizer(destination, loaded.tokenizer)
    return manifest


@dataclass(frozen=True, slots=True)
class _FileOptions:
    """The options of the file, as the stages from `tune` on need them."""

    destination: Path
    provider: str
    external_data: Placement
    tolerances: Mapping[str, float]
    tuning: TuningOptions | None
    rounding: RoundingTask
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class _Conversion:
    """The stages from `tune` on, repeated with fewer rules until the file is exact."""

    source: Source
    original: Original
    exported: ir.Model
    sets: Sequence[SampleSet]
    trials: Trials | None
    """What the samples exercise; None where the model fails on them."""
    options: _FileOptions
    on_stage: Callable[[str], None]
    on_progress: Callable[[str], None]

    def write_exact_file(self) -> Manifest:
        """The manifest of the file; whenever a rule breaks it, it is made again without that rule."""
        dropped: tuple[DroppedRule, ...] = ()
        tuned: TuningResult | None = None
        while True:
            try:
                tuned = self._tune(tuned, dropped)
                return self._write_without(dropped, tuned)
            except PrecisionError:
                raise
            except (ParityError, ExportError) as error:
                dropped = (*dropped, self._blame_rule(error, dropped, tuned))

    def _tune(self, before: TuningResult | None, dropped: Sequence[DroppedRule]) -> TuningResult | None:
        """The measured choice, where one is asked for: a new one, or what a dropped rule leaves of it."""
        options = self.options.tuning
        if options is None:
            return None
        if before is not None and dropped[-1].rule == TUNING:
            return reject_forms(before)
        self.on_stage("tune")
        machine = Target(self.source.inputs, options.provider, options.threads, options.batches)
        rules = remaining_rules(dropped)
        task = TuningTask(self.exported, rules, machine, self.on_progress, self._round_for_timing)
        return tune(task, options) if before is None else drop_rule(task, before, dropped[-1].rule)

    def _round_for_timing(self, graph: ir.Model) -> ir.Model:
        """The graph in the precision of the file, as far as that is known before the gate."""
        return round_everywhere(graph, self.original, self.sets, self.options.rounding)

    def _write_without(self, dropped: tuple[DroppedRule, ...], tuned: TuningResult | None) -> Manifest:
        """The manifest of the file that is made without these rules."""
        plan, tuning = self._choose_plan(tuned), tuned.record if tuned is not None else None
        self.on_stage("optimise")
        rules = remaining_rules(dropped)
        optimised = replace(optimise(self.exported, rules, plan=plan), dropped=dropped)
        self.on_stage("verify")
        if self.options.rounding.precision == "fp32":
            return self._write_float32(optimised, plan, tuning)
        return self._write_rounded(optimised, plan, tuning)

    def _choose_plan(self, tuned: TuningResult | None) -> FormPlan:
        plan = FormPlan(default_forms(self.options.provider)) if tuned is None else tuned.plan
        return replace(plan, keeps_small=self.trials is not None and self.trials.small.shrink)

    def _blame_rule(
        self, error: ParityError | ExportError, dropped: Sequence[DroppedRule], tuned: TuningResult | None
    ) -> DroppedRule:
        """The next rule to do without. Raises the error where there is none."""
        if isinstance(error, ParityError):
            rule = error.rule or (TUNING if tuned is not None and tuned.plan.chosen else None)
        else:
            rules, plan = remaining_rules(dropped), self._choose_plan(tuned)
            sets = self.original.select_accepted(self.sets)
            rule = find_refused_rule(self.exported, rules, plan, sets, self.options.provider)
        if rule is None:
            raise error
        return DroppedRule(rule, str(error))

    def _write_float32(
        self, optimised: OptimisedGraph, plan: FormPlan, tuning: TuningRecord | None
    ) -> Manifest:
        """The manifest of the file; its parity is that of the very bytes that are written."""
        options = self.options
        with (
            place_weights(optimised.model, options.destination, options.external_data) as placed,
            store_graph(placed) as graph,
        ):
            manifest = self._collect_evidence(optimised, plan, graph, placed.folder)
            manifest = replace(manifest, data=placed.data, tuning=tuning)
            return self._write(placed, read_graph(graph), manifest)

    def _write_rounded(
        self, optimised: OptimisedGraph, plan: FormPlan, tuning: TuningRecord | None
    ) -> Manifest:
        """The manifest of a file of fewer bits; its parity is that of the graph before it was rounded."""
        options = self.options
        with store_graph(PlacedModel(optimised.model, options.destination.parent)) as graph:
            manifest = self._collect_evidence(optimised, plan, graph)
        self.on_stage(QUANTISE)
        rounded = quantise(
            optimised.model,
            self.original,
            self.sets,
            options.rounding,
            provider=options.provider,
            on_progress=lambda step, done, total: self.on_progress(f"{step} {done} of {total}"),
        )
        with place_weights(rounded.model, options.destination, options.external_data) as placed:
            manifest = replace(
                manifest,
                data=placed.data,
                tuning=tuning,
                precision=rounded.precision,
                rounding=record_rounding(rounded),
            )
            return self._write(placed, serialise(placed.model), manifest)

    def _collect_evidence(
        self, optimised: OptimisedGraph, plan: FormPlan, graph: bytes | Path, folder: Path | None = None
    ) -> Manifest:
        parity = self._verify(optimised, plan, graph, folder)
        manifest = collect_evidence(self.source, optimised, parity, self.sets)
        return replace(manifest, provider=self.options.provider)

    def _write(self, placed: PlacedModel, content: bytes, manifest: Manifest) -> Manifest:
        """The manifest of the file, which says too what the file held on the user's samples."""
        options, layers = self.options, [record.layer for record in manifest.activations]
        graph = placed.model.graph
        reaching = find_reaching(graph, layers)
        baseline = record_baseline(graph, content, self.sets, reaching, options.provider, placed.folder)
        manifest = replace(manifest, baseline=baseline)
        self.on_stage("write")
        write_model(options.destination, options.sign(append_manifest(content, manifest)))
        return manifest

    def _verify(
        self, optimised: OptimisedGraph, plan: FormPlan, graph: bytes | Path, folder: Path | None
    ) -> Parity:
        """Parity of the file; while it is computed it takes several times the memory of the weights."""
        if count_weight_bytes(self.exported) > COLLECTED:
            gc.collect()  # graphs are cycles, and nodes that the rules removed still hold their weights
        inputs = [spec.name for spec in self.source.inputs]
        session = Session(graph, inputs, self.options.provider, folder=folder)
        rules = remaining_rules(optimised.dropped)
        search = CulpritSearch(self.original, self.exported, optimised.firings, rules, plan)
        find_culprit = search.find if count_weight_bytes(self.exported) <= LARGEST else skip_search
        parity = verify(self.original, session, self.sets, self.options.tolerances, find_culprit)
        if self.trials is None:
            return parity
        losses = find_losses(self.original, session, self.trials.small, self.options.tolerances)
        coverage = judge(self.trials, self.original, self.source, optimised.model, losses)
        return replace(parity, coverage=coverage)

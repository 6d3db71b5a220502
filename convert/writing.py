"""The stages from `tune` on: the exact graph becomes a file that passed parity, or else none."""

import gc
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from convert.artefact.external import LARGEST, PlacedModel, count_weight_bytes, place_weights
from convert.artefact.file import append_manifest, serialise, write_model
from convert.artefact.placement import Placement
from convert.artefact.stored_graph import read_graph, store_graph
from convert.errors import ExportError, ParityError, PrecisionError
from convert.evidence.baseline import find_reaching, record_baseline
from convert.evidence.collect import collect_evidence
from convert.evidence.placement import find_placement
from convert.manifest.manifest import Manifest
from convert.manifest.providers import ProviderChoiceRecord
from convert.manifest.records import CostRecord, TuningRecord
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.coverage import Trials
from convert.parity.locate import CulpritSearch, find_refused_rule, skip_search
from convert.parity.small_signals import find_losses
from convert.parity.verify import Original, Parity, verify
from convert.parity.weakness import judge
from convert.precision.budgets import Precision
from convert.precision.computed import computed_in
from convert.precision.cost import measure_cost
from convert.precision.quantise import QuantisedModel, RoundingTask, quantise, round_everywhere
from convert.precision.record import record_rounding
from convert.rewriting.optimise import DroppedRule, OptimisedGraph, optimise, remaining_rules
from convert.rewriting.plan import FormPlan, default_forms
from convert.sources.source import Source
from convert.tuning.search import TuningTask
from convert.tuning.timing import Target
from convert.tuning.tune import TuningOptions, TuningResult, drop_rule, reject_forms, tune

QUANTISE = "quantise"
"""The stage before `write`, where fewer bits than float32 are asked for."""
TUNING = "tuning"
"""The name of what is dropped where the chosen forms broke parity together, and no rule of them alone."""
COLLECTED = 64 * 2**20  # bytes: more of weights are worth the 0.2 s that the collector takes


@dataclass(frozen=True, slots=True)
class FileOptions:
    """The options of the file, as the stages from `tune` on need them."""

    destination: Path
    provider: str
    external_data: Placement
    tolerances: Mapping[str, float]
    tuning: TuningOptions | None
    rounding: RoundingTask
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The stages from `tune` on, repeated with fewer rules until the file is exact."""

    source: Source
    original: Original
    exported: ir.Model
    sets: Sequence[SampleSet]
    trials: Trials | None
    """What the samples exercise; None where the model fails on them."""
    options: FileOptions
    on_stage: Callable[[str], None]
    on_progress: Callable[[str], None]
    choice: ProviderChoiceRecord | None = None
    """How the provider was chosen; None where the user named it."""

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
        machine = self._make_target(options, self.options.rounding.precision)
        rules = remaining_rules(dropped)
        computed = computed_in(self.options.rounding.precision, options.provider)
        task = TuningTask(self.exported, rules, machine, self.on_progress, self._round_for_timing, computed)
        return tune(task, options) if before is None else drop_rule(task, before, dropped[-1].rule)

    def _round_for_timing(self, graph: ir.Model) -> ir.Model:
        """The graph in the precision of the file, as far as that is known before the gate."""
        options = self.options
        return round_everywhere(graph, self.original, self.sets, options.rounding, options.provider)

    def _write_without(self, dropped: tuple[DroppedRule, ...], tuned: TuningResult | None) -> Manifest:
        """The manifest of the file that is made without these rules."""
        plan, tuning = self.choose_plan(tuned, dropped), tuned.record if tuned is not None else None
        self.on_stage("optimise")
        rules = remaining_rules(dropped)
        optimised = replace(optimise(self.exported, rules, plan=plan), dropped=dropped)
        self.on_stage("verify")
        if self.options.rounding.precision == "fp32":
            return self._write_float32(optimised, plan, tuning)
        return self._write_rounded(optimised, plan, tuning)

    def choose_plan(self, tuned: TuningResult | None, dropped: Sequence[DroppedRule] = ()) -> FormPlan:
        """The forms that were tuned, or else those of the provider's table; none that was dropped."""
        plan = FormPlan(default_forms(self.options.provider)) if tuned is None else tuned.plan
        return replace(
            plan,
            keeps_small=self.trials is not None and self.trials.small.shrink,
            dropped=frozenset(record.rule for record in dropped),
        )

    def _blame_rule(
        self, error: ParityError | ExportError, dropped: Sequence[DroppedRule], tuned: TuningResult | None
    ) -> DroppedRule:
        """The next rule to do without. Raises the error where there is none that was not dropped before."""
        if isinstance(error, ParityError):
            rule = error.rule or (TUNING if tuned is not None and tuned.plan.chosen else None)
        else:
            rules, plan = remaining_rules(dropped), self.choose_plan(tuned, dropped)
            sets = self.original.select_accepted(self.sets)
            rule = find_refused_rule(self.exported, rules, plan, sets, self.options.provider)
        if rule is None or rule in {record.rule for record in dropped}:
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
        with (
            tempfile.TemporaryDirectory() as folder,
            place_weights(optimised.model, Path(folder) / "graph.onnx") as placed,
            store_graph(placed) as graph,
        ):
            manifest = self._collect_evidence(optimised, plan, graph, placed.folder)
        self.on_stage(QUANTISE)
        rounded = quantise(
            optimised.model,
            self.original,
            self.sets,
            self._aim_front(),
            provider=options.provider,
            on_progress=lambda step, done, total: self.on_progress(f"{step} {done} of {total}"),
        )
        with place_weights(rounded.model, options.destination, options.external_data) as placed:
            manifest = replace(
                manifest,
                data=placed.data,
                tuning=tuning,
                precision=rounded.precision,
                rounding=replace(record_rounding(rounded), cost=self._measure_cost(optimised, rounded)),
            )
            return self._write(placed, serialise(placed.model), manifest)

    def _aim_front(self) -> RoundingTask:
        """The rounding with what its front is timed on, where it has one: the target of tuning, if any."""
        rounding, front = self.options.rounding, self.options.rounding.front
        if front is None:
            return rounding
        target = replace(self.options.tuning or front.target, provider=self.options.provider)
        return replace(rounding, front=replace(front, target=target), machine=self._make_target(target))

    def _measure_cost(self, optimised: OptimisedGraph, rounded: QuantisedModel) -> CostRecord:
        """The bytes of the weights before and after, and the times where the file is tuned for a machine."""
        tuning = self.options.tuning
        if tuning is None:
            return measure_cost(optimised.model, rounded.model)
        machines = self._make_target(tuning), self._make_target(tuning, rounded.precision)
        return measure_cost(optimised.model, rounded.model, machines, tuning.batches)

    def _make_target(self, options: TuningOptions, precision: Precision = "fp32") -> Target:
        computed = computed_in(precision, options.provider)
        return Target(self.source.inputs, options.provider, options.threads, options.batches, computed)

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
        names = [spec.name for spec in self.source.inputs]
        placement = find_placement(content, names, options.provider, placed.folder)
        manifest = replace(manifest, baseline=baseline, choice=self.choice, placement=placement)
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

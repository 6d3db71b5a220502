"""The whole way from a PyTorch file to an ONNX file: one line a stage."""

import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.artefact.external import LARGEST, Placed, placed, weights
from convert.artefact.file import require_writable, serialise, with_manifest, write
from convert.artefact.placement import Placement
from convert.artefact.signing import signer_of
from convert.errors import ExportError, ParityError, PrecisionError, UsageError
from convert.evidence.collect import evidence
from convert.manifest.fields import TuningRecord
from convert.manifest.manifest import Manifest
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session, available
from convert.model_io.samples import SampleSet, generated, read_samples
from convert.parity.locate import Suspects, refused
from convert.parity.tolerance import require_known, require_shares
from convert.parity.verify import Culprit, Original, Parity, verify
from convert.parity.workload import rows
from convert.precision.budgets import Asked, Precision
from convert.precision.quantise import Request, Wanted, quantise, rounded_everywhere
from convert.precision.record import recorded
from convert.rewriting.optimise import Dropped, Optimised, kept, optimise
from convert.rewriting.plan import Plan, table
from convert.sources.export import graph_of, output_names
from convert.sources.fold import fold
from convert.sources.load import load
from convert.sources.opset import DEFAULT_OPSET
from convert.sources.source import Source
from convert.tuning.search import Task
from convert.tuning.timing import Target
from convert.tuning.tune import Tuned, Tuning, not_exact, tune, without

STAGES = ("load", "reference", "fold", "export", "tune", "optimise", "verify", "write")
"""In order; `tune` only where it is asked for."""
QUANTISE = "quantise"
"""Before `write`, where fewer bits than float32 are asked for."""
TUNING = "tuning"
"""Named as dropped where the chosen forms broke parity together, and no rule of them alone."""


def convert(  # noqa: PLR0913  # each argument is an option of the command
    source: Path,
    destination: Path,
    *,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
    samples: Path | None = None,
    allow_pickle: bool = False,
    external_data: Placement = "auto",
    opset: int = DEFAULT_OPSET,
    tolerances: Mapping[str, float] | None = None,
    provider: str = "cpu",
    tuning: Tuning | None = None,
    precision: Precision = "fp32",
    calibration: Path | None = None,
    budgets: Asked | None = None,
    sign: Path | None = None,
    password: str | None = None,
    started: Callable[[str], None] = lambda stage: None,
    told: Callable[[str], None] = lambda what: None,
) -> Manifest:
    """The manifest of the ONNX file now at `destination`, which passed parity with the model in `source`.

    `tolerances` allows an output, by name, an error of that share of its scale beyond the criterion.
    Forms are those of `provider`'s table, or what `tuning` finds faster on the provider that it names.
    `precision` other than fp32 rounds what passed parity, and is judged by `budgets`, or by strict ones;
    `calibration` names the data that static int8 takes its ranges from.
    `sign` names the private key that signs it, `password` opens that key.
    `started` hears of each stage of STAGES as it begins, `told` of what is timed. Raises a ConversionError
    where anything fails, and then nothing was written.
    """
    require_writable(destination)
    _require_apart(source, destination)
    require_shares(tolerances or {})
    provider = tuning.provider if tuning is not None else provider
    available(provider)
    request = Request(precision, calibration, samples, budgets or Asked())
    request.require_meant()
    signed = signer_of(sign, password)

    started("load")
    loaded = load(source, factory, factory_kwargs, inputs, allow_pickle=allow_pickle)
    given = read_samples(samples, loaded.inputs) if samples is not None else ()
    rounding = request.read(loaded.inputs, given)
    asked = tuning.sized(loaded.inputs) if tuning is not None else None
    started("reference")  # before the export takes its memory, and before anything else has the weights
    original = _original(loaded, tolerances or {})
    sets = (*generated(loaded.inputs, rows(original, loaded)), *given)
    with contextlib.suppress(ExportError):  # of what fixes a size the export says more; `verify` asks again
        original.learn(sets)
    started("fold")
    folded = fold(loaded.model)
    started("export")
    exported = graph_of(loaded, folded, opset)
    wanted = _Wanted(provider, asked, rounding, tolerances or {}, external_data, started, told)
    return _Conversion(loaded, original, exported, sets, wanted).written(destination, signed)


def _original(source: Source, tolerances: Mapping[str, float]) -> Original:
    """The model to be compared with, its outputs named; `tolerances` are of some of these."""
    if source.graph is not None:
        names = [value.name or "" for value in source.graph.graph.outputs]
    else:
        names = list(output_names(source.model, source.inputs, source.outputs))
    require_known(tolerances, names)
    return Original(source.model, names)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options that the stages from `tune` on look at."""

    provider: str
    tuning: Tuning | None
    rounding: Wanted
    tolerances: Mapping[str, float]
    external_data: Placement
    started: Callable[[str], None]
    told: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Conversion:
    """What stays the same however often the graph is rewritten and judged."""

    source: Source
    original: Original
    exported: ir.Model
    sets: Sequence[SampleSet]
    wanted: _Wanted

    def written(self, destination: Path, signed: Callable[[bytes], bytes]) -> Manifest:
        """The manifest of the file, which is made again without it for each rule that breaks it."""
        dropped: tuple[Dropped, ...] = ()
        tuned: Tuned | None = None
        while True:
            try:
                tuned = self._tuned(tuned, dropped)
                return self._tried(dropped, tuned, destination, signed)
            except PrecisionError:
                raise
            except (ParityError, ExportError) as error:
                dropped = (*dropped, self._dropped(error, dropped, tuned))

    def _tried(
        self,
        dropped: tuple[Dropped, ...],
        tuned: Tuned | None,
        destination: Path,
        signed: Callable[[bytes], bytes],
    ) -> Manifest:
        """The manifest of the file as it is made without these rules."""
        plan, record = self._plan(tuned), tuned.record if tuned is not None else None
        self.wanted.started("optimise")
        optimised = replace(optimise(self.exported, kept(dropped), plan=plan), dropped=dropped)
        self.wanted.started("verify")
        if self.wanted.rounding.precision != "fp32":
            return self._rounded(optimised, plan, record, destination, signed)
        with (
            placed(optimised.model, destination, self.wanted.external_data) as file,
            _laid_down(file) as graph,
        ):
            manifest = self._evidence(optimised, plan, graph, file.folder)
            manifest = replace(manifest, data=file.data, tuning=record)
            self.wanted.started("write")
            write(destination, signed(with_manifest(_content(graph), manifest)))
        return manifest

    def _plan(self, tuned: Tuned | None) -> Plan:
        return Plan(table(self.wanted.provider)) if tuned is None else tuned.plan

    def _dropped(
        self, error: ParityError | ExportError, dropped: Sequence[Dropped], tuned: Tuned | None
    ) -> Dropped:
        """What the next try does without. Raises the error where nothing is left to do without."""
        if isinstance(error, ParityError):
            rule = error.rule or (TUNING if tuned is not None and tuned.plan.chosen else None)
        else:
            rule = refused(self.exported, kept(dropped), self._plan(tuned), self.sets, self.wanted.provider)
        if rule is None:
            raise error
        return Dropped(rule, str(error))

    def _rounded(
        self,
        optimised: Optimised,
        plan: Plan,
        record: TuningRecord | None,
        destination: Path,
        signed: Callable[[bytes], bytes],
    ) -> Manifest:
        """The manifest of a file of fewer bits; its parity is that of the graph before it was rounded."""
        with _laid_down(Placed(optimised.model, destination.parent)) as graph:
            manifest = self._evidence(optimised, plan, graph)
        self.wanted.started(QUANTISE)
        rounded = quantise(
            optimised.model,
            self.original,
            self.sets,
            self.wanted.rounding,
            provider=self.wanted.provider,
            said=lambda what, done, of: self.wanted.told(f"{what} {done} of {of}"),
        )
        with placed(rounded.model, destination, self.wanted.external_data) as file:
            manifest = replace(
                manifest,
                data=file.data,
                tuning=record,
                precision=rounded.precision,
                rounding=recorded(rounded),
            )
            self.wanted.started("write")
            write(destination, signed(serialise(file.model, manifest)))
        return manifest

    def _tuned(self, before: Tuned | None, dropped: Sequence[Dropped]) -> Tuned | None:
        """The measured choice, where one is asked for: anew, or what is left of it without a dropped rule."""
        asked = self.wanted.tuning
        if asked is None:
            return None
        if before is not None and dropped[-1].rule == TUNING:
            return not_exact(before)
        self.wanted.started("tune")
        machine = Target(self.source.inputs, asked.provider, asked.threads, asked.batches)
        task = Task(self.exported, kept(dropped), machine, self.wanted.told, self._written)
        return tune(task, asked) if before is None else without(task, before, dropped[-1].rule)

    def _written(self, graph: ir.Model) -> ir.Model:
        """The graph in the precision of the file, as far as that is known before the gate."""
        return rounded_everywhere(graph, self.original, self.sets, self.wanted.rounding)

    def _evidence(
        self, optimised: Optimised, plan: Plan, graph: bytes | Path, folder: Path | None = None
    ) -> Manifest:
        """The manifest; of parity it holds that of the very bytes that are written, less the manifest."""
        parity = self._parity(optimised, plan, graph, folder)
        found = evidence(self.source, optimised, parity, self.sets)
        return replace(found, provider=self.wanted.provider)

    def _parity(self, optimised: Optimised, plan: Plan, graph: bytes | Path, folder: Path | None) -> Parity:
        """Parity of the file; what it takes to compare, several times the weights, is gone afterwards."""
        gc.collect()  # graphs are cycles, and what the rules took out of one still holds its weights
        inputs = [spec.name for spec in self.source.inputs]
        session = Session(graph, inputs, self.wanted.provider, folder=folder)
        rules = kept(optimised.dropped)
        suspects = Suspects(self.original, self.exported, optimised.firings, rules, plan)
        culprit = suspects.culprit if weights(self.exported) <= LARGEST else _not_looked_for
        return verify(self.original, session, self.sets, self.wanted.tolerances, culprit)


@contextlib.contextmanager
def _laid_down(file: Placed) -> Iterator[bytes | Path]:
    """The file less its manifest, on the disk: what ONNX Runtime is given in memory, it keeps there too."""
    content = serialise(file.model)
    if file.data is not None:  # the weights are on the disk already
        yield content
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        try:
            path.write_bytes(content)
        except OSError:  # no room there, and so in memory
            yield content
            return
        del content
        yield path


def _content(graph: bytes | Path) -> bytes:
    return graph if isinstance(graph, bytes) else graph.read_bytes()


def _not_looked_for(samples: SampleSet, output: str) -> Culprit:
    return Culprit("the model is too large to look for the layer that differs")


def _require_apart(source: Path, destination: Path) -> None:
    # Not by their methods, which raise where a folder on the way may not be searched.
    if os.path.exists(destination) and os.path.exists(source) and destination.samefile(source):
        raise UsageError(f"`{destination}` is the file to convert; write to another one")

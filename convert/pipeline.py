"""From a PyTorch file to an ONNX file that passed parity, one line a stage."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptact.providers.catalogue import AUTO
from convert.artefact.destination import require_apart, require_writable
from convert.artefact.placement import Placement
from convert.artefact.signing import make_signer
from convert.artefact.tokenizer_file import write_tokenizer
from convert.choosing import write_on_fastest
from convert.errors import ExportError, UsageError
from convert.manifest.manifest import Manifest
from convert.model_io.given import describe_undefined, read_samples
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import require_provider
from convert.model_io.samples import SampleSet
from convert.parity.coverage import Trials, examine
from convert.parity.sampling import Sampling, choose_samples
from convert.parity.sizes import sample_doubtful
from convert.parity.tolerance import require_known, require_shares
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions, Precision
from convert.precision.computed import require_computed
from convert.precision.front.options import FrontOptions
from convert.precision.quantise import PrecisionOptions
from convert.precision.weights import BITS, OPSET
from convert.sources.described import (
    UNCHANGED,
    GivenDescription,
    describe,
    require_fitting,
    require_known_tokens,
)
from convert.sources.export import build_graph, list_output_names
from convert.sources.fold import fold
from convert.sources.load import load_request
from convert.sources.opset import OPSETS, choose_opset, find_oldest
from convert.sources.source import Source, SourceRequest
from convert.tuning.tune import TuningOptions
from convert.writing import Conversion, FileOptions

STAGES = ("load", "reference", "fold", "export", "tune", "optimise", "verify", "write")
"""In order; `tune` only where it is asked for, and `writing.QUANTISE` before the last for fewer bits."""


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
    opset: int | None = None,
    tolerances: Mapping[str, float] | None = None,
    provider: str = "cpu",
    tuning: TuningOptions | None = None,
    precision: Precision = "fp32",
    calibration: Path | None = None,
    budgets: BudgetOptions | None = None,
    front: FrontOptions | None = None,
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
    the result; `calibration` names the data that static int8 takes its ranges from. `front` has the places
    that int8 rounds chosen by time and loss.
    `sign` names the private key that signs the file, `password` opens that key.
    `on_stage` is called as each stage of STAGES begins, `on_progress` with what is timed or rounded now.
    Raises a ConversionError where anything fails, and then nothing was written.
    """
    require_writable(destination)
    require_apart(source, destination)
    require_shares(tolerances or {})
    provider = tuning.provider if tuning is not None else provider
    _require_usable(provider, tuning)
    rounding = PrecisionOptions(precision, calibration, samples, budgets or BudgetOptions(), front)
    rounding.require_consistent()
    require_computed(precision, provider)
    oldest = OPSET if precision in BITS else OPSETS[0]
    choose_opset(opset, oldest)  # before anything is read
    signer = make_signer(sign, password)

    on_stage("load")
    request = SourceRequest(
        source, factory, factory_kwargs, inputs, allow_pickle, state_key, weights, random_weights
    )
    loaded = describe(load_request(request), given)
    require_known_tokens(loaded)
    opset = choose_opset(opset, oldest := find_oldest(loaded.graph, oldest))
    loaded, own_sets = _read_own_samples(loaded, samples)
    rounding_task = rounding.read(loaded.inputs, own_sets)
    tuning = tuning.with_batches(loaded.inputs) if tuning is not None else None
    on_stage("reference")  # before the export takes its memory, and before anything else has the weights
    original = _make_original(loaded, tolerances or {})
    sampling = choose_samples(original, loaded)
    sets = (*sampling.sets, *own_sets)
    trials = _remember(original, loaded, sampling, own_sets)
    on_stage("fold")
    folded = fold(loaded.model)
    on_stage("export")
    exported = build_graph(loaded, folded, opset, oldest)
    require_fitting(given, exported.model)
    doubtful = sample_doubtful(loaded, exported.doubtful_sizes, sampling.ranges, sampling.work)
    original.remember_more(doubtful)
    sets = (*sets, *doubtful)
    file_options = FileOptions(
        destination, provider, external_data, tolerances or {}, tuning, rounding_task, signer
    )
    work = Conversion(loaded, original, exported.model, sets, trials, file_options, on_stage, on_progress)
    if tuning is not None and provider == AUTO:
        manifest = write_on_fastest(work, tuning)
    else:
        manifest = work.write_exact_file()
    write_tokenizer(destination, loaded.tokenizer)
    return manifest


def _read_own_samples(source: Source, samples: Path | None) -> tuple[Source, tuple[SampleSet, ...]]:
    """The source, which notes numbers of the user's samples that are not finite, and those samples."""
    if samples is None:
        return source, ()
    own_sets = read_samples(samples, source.inputs)
    return replace(source, notes=(*source.notes, *describe_undefined(own_sets, source.inputs))), own_sets


def _require_usable(provider: str, tuning: TuningOptions | None) -> None:
    """Raises UsageError for a provider that cannot be used here, and for `auto` without measuring."""
    if provider != AUTO:
        require_provider(provider)
    elif tuning is None:
        raise UsageError(
            "`--provider auto` is chosen by measuring, and nothing is measured", hint="add --tune"
        )


def _remember(
    original: Original, source: Source, sampling: Sampling, own_sets: Sequence[SampleSet]
) -> Trials | None:
    """What the samples exercise, once the model has run on all of them; None where it fails on them."""
    with contextlib.suppress(ExportError):  # of a fixed size the export says more; `verify` fails again
        original.remember((*sampling.sets, *own_sets))
        return examine(original, source, sampling, own_sets)
    return None


def _make_original(source: Source, tolerances: Mapping[str, float]) -> Original:
    """The model to compare with, its outputs named. Raises UsageError for a tolerance of another output."""
    if source.graph is not None:
        names = [value.name or "" for value in source.graph.graph.outputs]
    else:
        names = list(list_output_names(source.model, source.inputs, source.outputs))
    require_known(tolerances, names)
    return Original(source.model, names)

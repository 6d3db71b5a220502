"""The whole way from a PyTorch file to an ONNX file: one line a stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
from torch import nn

from convert.artefact.external import LARGEST, Placed, placed, weights
from convert.artefact.file import require_writable, serialise, write
from convert.artefact.placement import Placement
from convert.artefact.signing import signer_of
from convert.errors import ParityError, UsageError
from convert.evidence.fields import evidence
from convert.export import export
from convert.fold import fold
from convert.inputs import InputSpec
from convert.load import Source, load
from convert.manifest import Manifest
from convert.opset import DEFAULT_OPSET
from convert.optimise import Dropped, Optimised, kept, optimise
from convert.parity.locate import Suspects
from convert.parity.samples import SampleSet, generated, read_samples
from convert.parity.tolerance import require_known, require_shares
from convert.runtime import Session
from convert.sources.graph import ready
from convert.verify import Culprit, Original, Parity, verify

STAGES = ("load", "fold", "export", "optimise", "verify", "write")


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
    sign: Path | None = None,
    password: str | None = None,
    started: Callable[[str], None] = lambda stage: None,
) -> Manifest:
    """The manifest of the ONNX file now at `destination`, which passed parity with the model in `source`.

    `tolerances` allows an output, by name, an error of that share of its scale beyond the criterion.
    `sign` names the private key that signs it, `password` opens that key.
    `started` hears of each stage of STAGES as it begins. Raises a ConversionError where anything fails, and
    then nothing was written.
    """
    _require_apart(source, destination)
    require_shares(tolerances or {})
    require_writable(destination)
    signed = signer_of(sign, password)

    started("load")
    loaded = load(source, factory, factory_kwargs, inputs, allow_pickle=allow_pickle)
    given = read_samples(samples, loaded.inputs) if samples is not None else ()
    started("fold")
    folded = fold(loaded.model)
    started("export")
    exported = graph_of(loaded, folded, opset)
    sets = (*generated(loaded.inputs), *given)
    dropped: tuple[Dropped, ...] = ()
    while True:  # once for each rule that breaks parity, and once without those
        started("optimise")
        optimised = replace(optimise(exported, kept(dropped)), dropped=dropped)
        started("verify")
        try:
            with placed(optimised.model, destination, external_data) as file:
                parity = _verified(loaded, exported, optimised, file, sets, tolerances or {})
                started("write")
                manifest = replace(evidence(loaded, optimised, parity, sets), data=file.data)
                write(destination, signed(serialise(file.model, manifest)))
            return manifest
        except ParityError as error:
            if error.rule is None:
                raise
            dropped = (*dropped, Dropped(error.rule, str(error)))


def graph_of(source: Source, folded: nn.Module, opset: int) -> ir.Model:
    """The graph that the file holds already, or that torch writes of the folded model."""
    if source.graph is not None:
        return ready(source.graph, opset)
    return export(folded, source.inputs, source.outputs, opset)


def _verified(
    source: Source,
    exported: ir.Model,
    optimised: Optimised,
    file: Placed,
    sets: Sequence[SampleSet],
    tolerances: Mapping[str, float],
) -> Parity:
    """Parity of the very bytes that are written, less the manifest; what it takes to compare ends here."""
    names = [value.name or "" for value in optimised.model.graph.outputs]
    require_known(tolerances, names)
    original = Original(source.model, names)
    inputs = [spec.name for spec in source.inputs]
    session = Session(serialise(file.model), inputs, folder=file.folder)
    suspects = Suspects(original, exported, optimised.firings, kept(optimised.dropped))
    culprit = suspects.culprit if weights(exported) <= LARGEST else _not_looked_for
    return verify(original, session, sets, tolerances, culprit)


def _not_looked_for(samples: SampleSet, output: str) -> Culprit:
    return Culprit("the model is too large to look for the layer that differs")


def _require_apart(source: Path, destination: Path) -> None:
    if destination.exists() and source.exists() and destination.samefile(source):
        raise UsageError(f"`{destination}` is the file to convert; write to another one")

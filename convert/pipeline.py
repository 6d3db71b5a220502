"""The whole way from a PyTorch file to an ONNX file: one line a stage."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.artefact import require_writable, serialise, write
from convert.errors import UsageError
from convert.evidence import evidence
from convert.export import export
from convert.fold import fold
from convert.inputs import InputSpec
from convert.load import Source, load
from convert.locate import Suspects
from convert.manifest import Manifest
from convert.opset import DEFAULT_OPSET
from convert.optimise import Optimised, optimise
from convert.runtime import Session
from convert.samples import SampleSet, generated, read_samples
from convert.verify import Original, Parity, verify

STAGES = ("load", "fold", "export", "optimise", "verify", "write")


def convert(  # noqa: PLR0913  # each argument is an option of the command
    source: Path,
    destination: Path,
    *,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
    samples: Path | None = None,
    opset: int = DEFAULT_OPSET,
    tolerances: Mapping[str, float] | None = None,
    started: Callable[[str], None] = lambda stage: None,
) -> Manifest:
    """The manifest of the ONNX file now at `destination`, which passed parity with the model in `source`.

    `tolerances` allows an output, by name, an error of that share of its scale beyond the criterion.
    `started` hears of each stage of STAGES as it begins. Raises a ConversionError where anything fails, and
    then nothing was written.
    """
    _require_apart(source, destination)
    _require_shares(tolerances or {})
    require_writable(destination)

    started("load")
    loaded = load(source, factory, factory_kwargs, inputs)
    given = read_samples(samples, loaded.inputs) if samples is not None else ()
    started("fold")
    folded = fold(loaded.model)
    started("export")
    exported = export(folded, loaded.inputs, loaded.outputs, opset)
    started("optimise")
    optimised = optimise(exported)
    started("verify")
    sets = (*generated(loaded.inputs), *given)
    parity = _verified(loaded, exported, optimised, sets, tolerances or {})
    started("write")
    manifest = evidence(loaded, optimised, parity)
    write(destination, serialise(optimised.model, manifest))
    return manifest


def _verified(
    source: Source,
    exported: ir.Model,
    optimised: Optimised,
    sets: Sequence[SampleSet],
    tolerances: Mapping[str, float],
) -> Parity:
    """Parity of the very bytes that are written, less the manifest; what it takes to compare ends here."""
    names = [value.name or "" for value in optimised.model.graph.outputs]
    _require_known(tolerances, names)
    original = Original(source.model, names)
    session = Session(serialise(optimised.model), [spec.name for spec in source.inputs])
    suspects = Suspects(original, exported, optimised.firings)
    return verify(original, session, sets, tolerances, suspects.culprit)


def _require_apart(source: Path, destination: Path) -> None:
    if destination.exists() and source.exists() and destination.samefile(source):
        raise UsageError(f"`{destination}` is the file to convert; write to another one")


def _require_known(tolerances: Mapping[str, float], outputs: Sequence[str]) -> None:
    unknown = next((name for name in tolerances if name not in outputs), None)
    if unknown is not None:
        raise UsageError(f"tolerance for `{unknown}`: the model's outputs are {list(outputs)}")


def _require_shares(tolerances: Mapping[str, float]) -> None:
    for name, share in tolerances.items():
        if not 0 < share <= 1:
            raise UsageError(
                f"tolerance for `{name}` is {share:g}, expected a share of its scale, above 0 to 1"
            )

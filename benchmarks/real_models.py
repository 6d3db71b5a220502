"""Real models exported from a checkpoint and from torch.onnx.export's file of it, compared with torch.

For each model: the seconds and memory of its export, the size of the file, its error as a share of float32's
own, and the time of one prediction against torch.onnx.export's file, torch and torch.compile. Each step runs
in a process of its own. Prints tables and writes docs/results/real_models.{md,json}. Measurements
are kept under build/benchmarks, so an interrupted run continues.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import onnx
import typer
from rich.progress import track

from benchmarks.cells import Cell, CellStore
from benchmarks.processes import EXPORT, FinishedProcess, run
from benchmarks.real_page import publish_models, show_models
from benchmarks.real_steps import FILES
from benchmarks.real_subjects import REAL_MODELS
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest

OWN = (
    *("real_models", "real_steps", "real_subjects", "rivals", "turns", "processes"),
    *(f"models/{name}" for name in ("bigvgan", "darknet", "fsrcnn", "iresnet")),
)
STEP = "import sys; from benchmarks.real_steps import main; main(*sys.argv[1:])"
SOURCES = {"ours": "model.pt", "again": FILES["torch"]}
"""What each file of ours is made of."""
ROUNDS, FEWER_ROUNDS = 12, 3
COMPILE_SECONDS, FEWER_COMPILE_SECONDS = 90, 30


def main(
    models: Annotated[str | None, typer.Option(help="Models, separated by commas; all if not given.")] = None,
    quick: Annotated[bool, typer.Option(help="Few rounds, and not long for torch.compile.")] = False,
) -> None:
    """Measure every model; the numbers of a run of some, or a quick one, are only printed."""
    chosen = models.split(",") if models else list(REAL_MODELS)
    unknown = set(chosen) - set(REAL_MODELS)
    if unknown:
        raise typer.BadParameter(
            f"not a model: {', '.join(sorted(unknown))}; there are {', '.join(REAL_MODELS)}"
        )
    cells = measure(chosen, quick)
    if quick or models:
        show_models(cells)
    else:
        publish_models(cells)


def measure(chosen: Sequence[str], quick: bool) -> dict[str, Cell]:
    """The measurements of each model, new or from an earlier run."""
    cells = CellStore("real_models", OWN, quick=quick)
    return {
        name: cells.get_or_measure(name, partial(_measure_model, name, cells.folder, quick))
        for name in track(chosen, description="models")
    }


def _measure_model(name: str, folder: Path, quick: bool) -> Cell:
    own = folder / f"{name}.files"
    own.mkdir(exist_ok=True)
    run(STEP, "checkpoint", name, str(own)).require_success()
    processes = {"torch": run(STEP, "torch", name, str(own))}
    for file, source in SOURCES.items():
        processes[file] = run(EXPORT, str(own / source), str(own / FILES[file]))
    rounds = FEWER_ROUNDS if quick else ROUNDS
    seconds = FEWER_COMPILE_SECONDS if quick else COMPILE_SECONDS
    timed = run(STEP, "latencies", name, str(own), str(rounds), str(seconds)).require_success()
    cell: Cell = json.loads(timed.stdout.splitlines()[-1])
    cell["exports"] = {file: _export_cell(process, own / FILES[file]) for file, process in processes.items()}
    for file in (*FILES.values(), "model.pt"):
        (own / file).unlink(missing_ok=True)
    return cell


def _export_cell(process: FinishedProcess, path: Path) -> Cell:
    """The cost of one export, or why it failed."""
    if process.status:
        return {"failed": process.last_line}
    content = onnx.load(path)
    size, carried = path.stat().st_size, {entry.key: entry.value for entry in content.metadata_props}
    numbers: Cell = {"seconds": process.seconds, "peak_bytes": process.peak_bytes, "file_bytes": size}
    if MANIFEST_KEY in carried:
        numbers |= _parity_cell(Manifest.from_json(carried[MANIFEST_KEY]))
    return numbers


def _parity_cell(manifest: Manifest) -> Cell:
    """The error of the file at its worst output."""
    outputs = manifest.parity.outputs
    return {
        "error_to_float32": max(
            (output.ratio for output in outputs if output.ratio is not None), default=None
        ),
        "error_of_scale": max(output.file_error / output.scale for output in outputs if output.scale),
        "reference": manifest.reference,
        "fired": sum(fired.times for fired in manifest.fired),
    }


if __name__ == "__main__":
    typer.run(main)

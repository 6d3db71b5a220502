"""`--provider auto` on twenty nets: never slower than the better provider, and faster than torch's file.

For each net, at batch 1 and 8 and on one and two threads: torch.onnx.export's file on ONNX Runtime's CPU
provider, our files on each provider, what `auto` chooses among these within a second, and OpenVINO's own
runtime; then, as far as there is time, torch.compile. Prints the tables and writes
docs/results/providers.{md,json}. What fails is a row that says why. Measurements are kept under
build/benchmarks, so another run measures only what is missing, and `--only` measures some nets.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.progress import track

from benchmarks.cells import Cell, CellStore
from benchmarks.processes import EXPORT, FinishedProcess, run
from benchmarks.provider_page import publish_nets, show_nets
from benchmarks.provider_steps import CHECKPOINT, FILES
from benchmarks.provider_subjects import NETS, Export, list_exports

OWN = (
    *("providers", "provider_steps", "provider_subjects", "provider_peer", "real_subjects", "rivals"),
    *("real_steps", "processes", "../adaptact/halving", "../adaptact/providers/catalogue"),
    "../adaptact/providers/openvino",
)
STEP = "import sys; from benchmarks.provider_steps import main; main(*sys.argv[1:])"
BATCHES, THREADS = (1, 8), (1, 2)
OURS = ("cpu", "openvino")
"""Our files, each with the forms of that provider's table."""
PEER = Path("build/peers/openvino/bin/python")
CELL_SECONDS, FEWER_SECONDS = 3.0, 1.0
COMPILE_SECONDS = 60
STEP_SECONDS = 600.0
"""A step that takes longer is ended."""
MINUTES = 14.0
LATE = "no time was left: another run measures it"


class StepError(Exception):
    """A step failed; it says why."""


def main(
    only: Annotated[str | None, typer.Option(help="Nets, separated by commas; all if not given.")] = None,
    quick: Annotated[bool, typer.Option(help="Few rounds, and no torch.compile.")] = False,
    peer: Annotated[Path, typer.Option(help="Python of an environment with OpenVINO's package.")] = PEER,
    part: Annotated[bool, typer.Option(help="Only measure: write the page once all nets are there.")] = False,
    minutes: Annotated[float, typer.Option(help="After so many nothing more is begun.")] = MINUTES,
) -> None:
    """Measure every net; the numbers of some nets, or of a quick run, are only printed."""
    chosen = only.split(",") if only else list(NETS)
    unknown = set(chosen) - set(NETS)
    if unknown:
        raise typer.BadParameter(f"not a net: {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    cells = measure(chosen, quick, peer.absolute() if peer.exists() else None, monotonic() + 60 * minutes)
    if only or quick or part:
        show_nets(cells)
    else:
        publish_nets(cells)


def measure(chosen: Sequence[str], quick: bool, peer: Path | None, until: float) -> dict[str, Cell]:
    """The measurements of each net, new or from an earlier run; nothing is begun after `until`."""
    store = CellStore("providers", OWN, quick=quick, peer=peer is not None)

    def get(key: str, measure_net: partial[Cell]) -> Cell:
        if not store.holds(key) and monotonic() > until:
            return {"failed": {"all": LATE}}
        cell = store.get_or_measure(key, measure_net)
        if cell["failed"]:
            store.forget(key)
        return cell

    cells: dict[str, Cell] = {
        name: {"cells": {}, **get(name, partial(_measure_net, name, quick, peer))}
        for name in track(chosen, description="nets")
    }
    for name in track(chosen, description="torch.compile") if not quick else ():
        cells[name]["compiled"] = get(f"{name} compiled", partial(_measure_compiled, name))
    return cells


def _measure_net(net: str, quick: bool, peer: Path | None) -> Cell:
    """All cells of the net, and why others are missing."""
    cell: Cell = {"cells": {}, "failed": {}}
    for export in list_exports(net, BATCHES):
        batches = BATCHES if export.batch is None else (export.batch,)
        with _note_failure(cell, _name_batches(batches)), tempfile.TemporaryDirectory() as folder:
            _write_files(export, Path(folder), batches)
            cell["failed"] |= _export(export, Path(folder))
            for batch in batches:
                for threads in THREADS:
                    with _note_failure(cell, f"{_name_batches([batch])}, {threads} threads"):
                        seconds = FEWER_SECONDS if quick else CELL_SECONDS
                        options = str(batch), str(threads), str(seconds), str(peer or "")
                        cell["cells"][f"{batch}, {threads}"] = _run_step("cell", net, folder, *options)
    return cell


def _measure_compiled(net: str) -> Cell:
    """torch.compile at batch 1 on one thread, against torch's file."""
    cell: Cell = {"failed": {}}
    export = list_exports(net, BATCHES[:1])[0]
    with _note_failure(cell, "all"), tempfile.TemporaryDirectory() as folder:
        _write_files(export, Path(folder), BATCHES[:1])
        cell |= _run_step("compiled", net, folder, str(BATCHES[0]), str(COMPILE_SECONDS))
    return cell


@contextmanager
def _note_failure(cell: Cell, where: str) -> Iterator[None]:
    """A failure within the block is a line of the cell, and what follows goes on."""
    try:
        yield
    except (StepError, OSError, ValueError, LookupError) as error:  # also of a full disk, and of no JSON
        cell["failed"][where] = str(error)[:200] or type(error).__name__


def _name_batches(batches: Sequence[int]) -> str:
    return f"batch {' and '.join(map(str, batches))}"


def _run_step(step: str, net: str, folder: str, *rest: str) -> Cell:
    """What the step printed; raises StepError where it failed."""
    done = run(STEP, step, net, folder, *rest, seconds=STEP_SECONDS)
    _require_success(done)
    printed: Cell = json.loads(done.stdout.splitlines()[-1])
    return printed


def _write_files(export: Export, folder: Path, batches: Sequence[int]) -> None:
    options = str(export.batch or 0), *map(str, batches)
    _require_success(run(STEP, "files", export.net, str(folder), *options, seconds=STEP_SECONDS))


def _export(export: Export, folder: Path) -> Mapping[str, str]:
    """Why files of ours could not be made, by the provider."""
    suffix = "" if export.batch is None else f", batch {export.batch}"

    def make(provider: str) -> FinishedProcess:
        files = str(folder / CHECKPOINT), str(folder / FILES[provider])
        return run(EXPORT, *files, "--provider", provider, seconds=STEP_SECONDS)

    with ThreadPoolExecutor() as pool:  # nothing is timed meanwhile
        done = dict(zip(OURS, pool.map(make, OURS), strict=True))
    return {
        f"export for {provider}{suffix}": each.describe_failure()
        for provider, each in done.items()
        if each.status
    }


def _require_success(done: FinishedProcess) -> None:
    if done.status:
        raise StepError(done.describe_failure())


if __name__ == "__main__":
    typer.run(main)

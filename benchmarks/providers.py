"""`--provider auto` on twenty nets: never slower than the better provider, and faster than torch's file.

For each net, at batch 1 and 8 and on one and two threads: torch.onnx.export's file on ONNX Runtime's CPU
provider, our files on each provider, what `auto` chooses among these within a second, OpenVINO's own runtime
and torch.compile. Prints the tables and writes docs/results/providers.{md,json}. Measurements are kept under
build/benchmarks, so an interrupted run continues, and `--only` measures some nets.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from benchmarks.cells import Cell, CellStore
from benchmarks.processes import EXPORT, FinishedProcess, run
from benchmarks.provider_page import publish_nets, show_nets
from benchmarks.provider_steps import CHECKPOINT, FILES
from benchmarks.provider_subjects import NETS, list_exports

OWN = (
    *("providers", "provider_steps", "provider_subjects", "provider_peer", "real_subjects", "rivals"),
    *("real_steps", "processes"),
)
STEP = "import sys; from benchmarks.provider_steps import main; main(*sys.argv[1:])"
BATCHES, THREADS = (1, 8), (1, 2)
OURS = ("cpu", "openvino")
"""Our files, each with the forms of that provider's table."""
PEER = Path("build/peers/openvino/bin/python")
CELL_SECONDS, FEWER_SECONDS = 4.0, 1.0
COMPILE_SECONDS = 20


def main(
    only: Annotated[str | None, typer.Option(help="Nets, separated by commas; all if not given.")] = None,
    quick: Annotated[bool, typer.Option(help="Few rounds, and no torch.compile.")] = False,
    peer: Annotated[Path, typer.Option(help="Python of an environment with OpenVINO's package.")] = PEER,
    part: Annotated[bool, typer.Option(help="Only measure: write the page once all nets are there.")] = False,
) -> None:
    """Measure every net; the numbers of some nets, or of a quick run, are only printed."""
    chosen = only.split(",") if only else list(NETS)
    unknown = set(chosen) - set(NETS)
    if unknown:
        raise typer.BadParameter(f"not a net: {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    cells = measure(chosen, quick, peer.absolute() if peer.exists() else None)
    if only or quick or part:
        show_nets(cells)
    else:
        publish_nets(cells)


def measure(chosen: Sequence[str], quick: bool, peer: Path | None) -> dict[str, Cell]:
    """The measurements of each net, new or from an earlier run."""
    store = CellStore("providers", OWN, quick=quick, peer=peer is not None)
    return {
        name: store.get_or_measure(name, partial(_measure_net, name, quick, peer))
        for name in track(chosen, description="nets")
    }


def _measure_net(net: str, quick: bool, peer: Path | None) -> Cell:
    cell: Cell = {"cells": {}, "compiled": {}, "exports": {}}
    for export in list_exports(net, BATCHES):
        with tempfile.TemporaryDirectory() as folder:
            batches = BATCHES if export.batch is None else (export.batch,)
            cell["exports"] |= _export(net, Path(folder), export.batch, batches)
            for batch in batches:
                _measure_batch(cell, net, Path(folder), batch, quick, peer)
    return cell


def _export(net: str, folder: Path, batch: int | None, batches: Sequence[int]) -> Mapping[str, str]:
    """Why files of ours could not be made, by the provider."""
    run(STEP, "files", net, str(folder), str(batch or 0), *map(str, batches)).require_success()
    suffix = "" if batch is None else f", batch {batch}"

    def make(provider: str) -> FinishedProcess:
        return run(EXPORT, str(folder / CHECKPOINT), str(folder / FILES[provider]), "--provider", provider)

    with ThreadPoolExecutor() as pool:  # nothing is timed meanwhile
        done = dict(zip(OURS, pool.map(make, OURS), strict=True))
    return {f"{provider}{suffix}": each.last_line for provider, each in done.items() if each.status}


def _measure_batch(cell: Cell, net: str, folder: Path, batch: int, quick: bool, peer: Path | None) -> None:
    seconds = FEWER_SECONDS if quick else CELL_SECONDS
    for threads in THREADS:
        options = str(batch), str(threads), str(seconds), str(peer or "")
        done = run(STEP, "cell", net, str(folder), *options).require_success()
        cell["cells"][f"{batch}, {threads}"] = json.loads(done.stdout.splitlines()[-1])
    if batch == 1 and not quick:
        done = run(STEP, "compiled", net, str(folder), str(batch), str(COMPILE_SECONDS))
        last = done.stdout.splitlines()[-1:] or [json.dumps({"failed": done.last_line})]
        cell["compiled"] = json.loads(last[0])


if __name__ == "__main__":
    typer.run(main)

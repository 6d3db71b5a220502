"""Loss over time between float32 and static int8, as `adaptact export --front` finds it: table and picture.

`python -m benchmarks.front` takes nets of `benchmarks.int8`, random weights but for the first, one thread,
one sample at a time. Writes docs/results/front.{md,json}, and docs/images/front.svg of the network that
`--picture` names.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table

from adaptact.report.page import render_html
from adaptact.report.parts import Section
from adaptact.report.scatter import Scatter
from adaptact.style import read_style
from benchmarks.int8 import BATCH, NETWORKS, Subject
from benchmarks.results import publish
from convert.errors import PrecisionError
from convert.evidence.front_tables import draw_front, tabulate_front
from convert.manifest.front import FrontRecord
from convert.model_io.inputs import parse_input
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions
from convert.precision.calibration import Calibration
from convert.precision.front.options import FrontOptions
from convert.precision.front.record import record_front
from convert.precision.quantise import RoundingTask, quantise
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from convert.sources.fold import fold
from convert.tuning.timing import Target
from convert.tuning.tune import TuningOptions

PICTURE = Path("docs/images/front.svg")
NOTES = (
    "Files between float32 and static int8 everywhere: time of one sample over float32's, one thread, by the "
    "processor's time, medians of turns with the interval of the sign test; errors on other samples than the "
    "calibration's, over the scale of the outputs. Chosen is the fastest within the budgets."
)


def main(
    network: Annotated[
        list[str] | None, typer.Option(help="One of them; the first two if not given.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="For each.")] = 120.0,
    max_error: Annotated[float, typer.Option(help="The budget, over the scale of the outputs.")] = 0.05,
    picture: Annotated[str, typer.Option(help="The network that the picture shows.")] = "PELU CNN",
) -> None:
    """Measure the front of each network, draw one, and publish."""
    torch.set_num_threads(1)
    budgets = BudgetOptions(max_error=max_error, min_agreement=0.0)
    records: dict[str, FrontRecord] = {}
    for name in track(network or list(NETWORKS)[:2], description="front"):
        records[name] = _measure(NETWORKS[name](), budgets, seconds)
    if picture in records and (scatter := draw_front(records[picture], 0)) is not None:
        PICTURE.write_text(to_svg(scatter), encoding="utf-8")
    numbers = {name: asdict(record) for name, record in records.items()}
    publish("front", "Loss over time between float32 and int8", make_tables(records), numbers, NOTES)


def _measure(subject: Subject, budgets: BudgetOptions, seconds: float) -> FrontRecord:
    model, calibration, test = subject
    spec = parse_input(f"x:float32[N,{','.join(map(str, test.shape[1:]))}]")
    graph = optimise(export(fold(model), [spec], ["y"]).model).model
    parts = calibration.numpy(), test.numpy()
    data, given = ([array[start : start + BATCH] for start in range(0, len(array), BATCH)] for array in parts)
    front = FrontOptions("fastest", TuningOptions(batches=(1,)), seconds)
    known = Calibration(tuple(SampleSet("calibration", (batch,)) for batch in data), len(calibration))
    task = RoundingTask("int8", budgets, known, None, front, Target([spec], "cpu", 1, (1,)))
    sets = tuple(SampleSet("given", (batch,), typical=True, given=True) for batch in given)
    rounded = quantise(graph, Original(model, ["y"]), sets, task)
    if rounded.front is None:
        raise PrecisionError("no front was measured")
    return record_front(rounded.front)


def make_tables(records: Mapping[str, FrontRecord]) -> list[Table]:
    """A table for each net, by its name."""
    tables = []
    for name, record in records.items():
        header, rows = tabulate_front(record)
        table = Table(*header, box=box.MARKDOWN, title=f"{name}: {record.groups} groups of places")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def to_svg(scatter: Scatter) -> str:
    """The drawing of the report as a file of its own, which follows the reader's light or dark scheme."""
    page = render_html("", [Section("", [scatter])])
    drawing = re.search(r'<svg class="chart" viewBox="0 0 .*?</svg>', page, re.DOTALL)
    if drawing is None:
        raise PrecisionError("the report holds no drawing")
    rules = re.findall(
        r"^\.(?:chart|grid|baseline|curve|s1|f1|reach|hollow|cross|ring|diamond)\b.*$", page, re.M
    )
    ground = "svg { background: var(--paper); font-family: var(--font); }"
    style = "\n".join([read_style("tokens"), *rules, ground])
    named = drawing[0].replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="360" ', 1
    )
    return named.replace(">", f"><style>{style}</style>", 1) + "\n"


if __name__ == "__main__":
    typer.run(main)

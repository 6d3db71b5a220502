"""The page of benchmarks/providers.py."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rich import box
from rich.table import Table

from adaptact.halving import LEAST_GAIN, MOST_LOSS
from benchmarks.cells import Cell
from benchmarks.provider_steps import AUTO, COMPILED, PEER
from benchmarks.results import publish, show

TITLE = "The fastest provider"
MOST_RATIO = 1 + MOST_LOSS
NOTES = """\
Twenty nets with random weights: those of [real models](real_models.md) and five more. `auto` chooses, within
a second of timing, between our file with the CPU provider's table of forms on that provider, and with
OpenVINO's table on OpenVINO, on as many threads as given or fewer; it is asked for each batch and number of
threads.

*Ratios* are times of one run over that of torch.onnx.export's file on ONNX Runtime's CPU provider, whose
milliseconds stand first: all take turns in one process (OpenVINO's own runtime, on torch's file and in
float32, in one beside it), and the median of the rounds' ratios counts. One thread is timed by the processor
where a run takes more than 2 ms, all else by the clock; the fastest run of a turn counts. *auto / better* is
the time of what `auto` chose over that of the better of the two providers with all threads; the choice was
made in another second than the one that judges it. *one for both batches* is what a server would lose that
keeps one provider for runs of one and of eight rows, by the same rule, to the better one for each.
torch.compile is measured at batch 1 on one thread, as far as there was time.
As published, the plug-in finds no device on a processor that is not Intel's: there a copy without its check
of the maker is measured (`ADAPTACT_OPENVINO_LIBRARY`)."""


def publish_nets(cells: Mapping[str, Cell]) -> None:
    """Write the tables and the numbers, and print them."""
    publish("providers", TITLE, make_tables(cells), {"nets": dict(cells)}, NOTES)


def show_nets(cells: Mapping[str, Cell]) -> None:
    """Print the tables."""
    show(TITLE, make_tables(cells), NOTES)


def make_tables(cells: Mapping[str, Cell]) -> list[Table]:
    """The summary, and every cell."""
    return [_summarise(cells), _list_cells(cells), *_list_failures(cells)]


def _summarise(cells: Mapping[str, Cell]) -> Table:
    table = Table("what", title="All nets together", box=box.MARKDOWN)
    for column in ("geometric mean of the ratios to torch's file", "worst", "cells"):
        table.add_column(column, justify="right")
    measured = [cell for _, _, cell in _walk(cells)]
    for key in ("cpu", "openvino", AUTO, PEER):
        table.add_row(
            *_summarise_ratios(key, [cell["to_torch"][key] for cell in measured if key in cell["to_torch"]])
        )
    compiled = [ratio for ratio in map(_read_compiled, cells.values()) if ratio is not None]
    table.add_row(*_summarise_ratios(COMPILED, compiled))
    for name, losses in (
        ("auto / better", [cell["to_better"] for cell in measured]),
        ("one for both batches / better", list(_find_losses(cells))),
    ):
        over = sum(loss > MOST_RATIO for loss in losses)
        table.add_row(*_summarise_ratios(f"{name}; {over} of {len(losses)} above {MOST_RATIO}", losses))
    return table


def _find_losses(cells: Mapping[str, Cell]) -> Iterator[float]:
    """For each net and number of threads, what one provider for all its batches loses with each of them."""
    for net in cells.values():
        for threads in sorted({where.split(", ")[1] for where in net["cells"]}):
            same = [
                cell["to_torch"] for where, cell in net["cells"].items() if where.endswith(f", {threads}")
            ]
            logs = [
                math.log(each["openvino"] / each["cpu"])
                for each in same
                if {"cpu", "openvino"} <= each.keys()
            ]
            if len(logs) < 2:
                continue
            is_taken = fmean(logs) <= math.log(1 - LEAST_GAIN) and max(logs) <= math.log(MOST_RATIO)
            yield from (math.exp(max(0.0, each if is_taken else -each)) for each in logs)


def _read_compiled(net: Cell) -> float | None:
    ratio: float | None = net.get("compiled", {}).get("to_torch")
    return ratio


def _summarise_ratios(name: str, ratios: Sequence[float]) -> tuple[str, str, str, str]:
    if not ratios:
        return name, "", "", "0"
    return name, f"{math.exp(fmean(map(math.log, ratios))):.2f}", f"{max(ratios):.2f}", str(len(ratios))


def _list_cells(cells: Mapping[str, Cell]) -> Table:
    table = Table("net", title="Every net", box=box.MARKDOWN)
    for column in (
        *("batch", "threads", "torch.onnx.export, ms", "cpu", "openvino", "auto", "auto / better"),
        *(PEER, COMPILED),
    ):
        table.add_column(column, justify="right")
    table.add_column("chosen")
    for net, where, cell in _walk(cells):
        batch, threads = where.split(", ")
        ratios = [_format(cell["to_torch"].get(key)) for key in ("cpu", "openvino", AUTO)]
        compiled = _read_compiled(cells[net]) if where == "1, 1" else None
        provider, number = cell["chosen"]
        table.add_row(
            *(net, batch, threads, _format(cell["milliseconds"].get("torch"), 3), *ratios),
            *(_format(cell["to_better"]), _format(cell["to_torch"].get(PEER)), _format(compiled)),
            provider if number == int(threads) else f"{provider}, {number} thread",
        )
    return table


def _list_failures(cells: Mapping[str, Cell]) -> Iterator[Table]:
    table = Table("net", "what", "why", title="What could not be measured", box=box.MARKDOWN)
    for net, measured in cells.items():
        reasons = dict(measured["failed"])
        for cell in measured["cells"].values():
            reasons |= cell["failed"]
        compiled = measured.get("compiled", {})
        for reason in (*compiled.get("failed", {}).values(), *filter(None, [compiled.get("why")])):
            reasons[COMPILED] = reason
        for key, reason in reasons.items():
            table.add_row(net, key, reason[:120])
    if table.row_count:
        yield table


def _walk(cells: Mapping[str, Cell]) -> Iterator[tuple[str, str, Cell]]:
    for net, measured in cells.items():
        for where, cell in measured["cells"].items():
            yield net, where, cell


def _format(number: float | None, digits: int = 2) -> str:
    return "" if number is None else f"{number:.{digits}f}"

"""The page of benchmarks/real_models.py."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.cells import Cell
from benchmarks.real_steps import COMPILED, EAGER
from benchmarks.results import publish, show

TITLE = "Real models, exported"
NOTES = """\
Models with random weights, batch 1, one thread; the batch norms fit the numbers that reach them. The first
eleven, from timm, transformers and as people write them, had their activations swapped for ones that learn
a value a channel (PReLU, Swish, ScaledGELU, Affine). The last four stand as people serve them: IResNet-50
and FSRCNN with PReLU, Darknet-53 with Mish, BigVGAN with Snake. `.pt` is adaptact-export from a checkpoint,
`.onnx` from the file that torch.onnx.export wrote of the same checkpoint. bert, lstm, tabular and encoder
are as small as in the tests.

*Time of one prediction*: ratios to torch.onnx.export's file, whose milliseconds stand first; all take turns
in one process. *Export*: the seconds of the whole process, imports and parity included; the memory is its
peak beyond the peak of the process that loads the checkpoint and exports it with torch, as a multiple of
the size of torch's file. Of a small model that is mostly what the processes import. *Error*: the file's on
typical samples, root of the mean square, as a multiple of the float32 error of the model itself, each
against float64; and the largest of all samples as a share of the output's scale."""


def publish_models(cells: Mapping[str, Cell]) -> None:
    """Writes the tables and the numbers, and prints them."""
    publish("real_models", TITLE, make_tables(cells), {"models": dict(cells)}, NOTES)


def show_models(cells: Mapping[str, Cell]) -> None:
    """Prints the tables."""
    show(TITLE, make_tables(cells), NOTES)


def make_tables(cells: Mapping[str, Cell]) -> list[Table]:
    """The tables of prediction times and of exports."""
    return [_latency_table(cells), _export_table(cells)]


def _latency_table(cells: Mapping[str, Cell]) -> Table:
    table = Table("model", title="Time of one prediction", box=box.MARKDOWN)
    for column in ("torch.onnx.export, ms", ".pt", ".onnx", EAGER, COMPILED):
        table.add_column(column, justify="right")
    for name, cell in cells.items():
        shown = [_format_ratio(cell, key) for key in ("ours", "again", EAGER, COMPILED)]
        table.add_row(name, _format_fixed(cell["milliseconds"].get("torch"), 3), *shown)
    return table


def _export_table(cells: Mapping[str, Cell]) -> Table:
    table = Table("model", title="Export", box=box.MARKDOWN)
    for column in (
        *("torch, s", ".pt, s", ".onnx, s", "torch's file, MB", ".pt, MB", "memory, MB", "of the size"),
        *("error to float32's, .pt", ".onnx", "error of the scale, .pt", ".onnx"),
    ):
        table.add_column(column, justify="right")
    for name, cell in cells.items():
        exports: Mapping[str, Cell] = cell["exports"]
        torchs, ours, again = exports["torch"], exports["ours"], exports["again"]
        table.add_row(
            name,
            *(_format_fixed(export.get("seconds"), 1, export) for export in (torchs, ours, again)),
            *(_format_fixed(_to_megabytes(export.get("file_bytes")), 1) for export in (torchs, ours)),
            *_memory_cells(torchs, ours),
            *(_format_fixed(export.get("error_to_float32"), 2) for export in (ours, again)),
            *(
                f"{export['error_of_scale']:.1e}" if "error_of_scale" in export else ""
                for export in (ours, again)
            ),
        )
    return table


def _memory_cells(torchs: Cell, ours: Cell) -> tuple[str, str]:
    if "peak_bytes" not in torchs or "peak_bytes" not in ours:
        return "", ""
    beyond = ours["peak_bytes"] - torchs["peak_bytes"]
    return f"{beyond / 1e6:.0f}", f"{beyond / torchs['file_bytes']:.1f}"


def _format_ratio(cell: Cell, key: str) -> str:
    failed: Any = cell["failed"].get(key) or cell["exports"].get(key, {}).get("failed")
    return f"failed: {failed[:80]}" if failed else _format_fixed(cell["to_torch"].get(key), 2)


def _to_megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6


def _format_fixed(number: float | None, digits: int, export: Cell | None = None) -> str:
    if number is not None:
        return f"{number:.{digits}f}"
    return f"failed: {export['failed'][:80]}" if export and "failed" in export else ""

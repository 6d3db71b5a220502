"""Shows a benchmark's table and keeps it: Markdown for people, JSON for machines."""

import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path("docs/results")


def publish(
    name: str,
    title: str,
    tables: Table | Sequence[Table],
    numbers: Mapping[str, Any],
    notes: str = "",
    measured_on: str = "",
) -> None:
    """Prints the tables; writes them to docs/results/`name`.md, and the numbers to `name.json` beside it.

    A table's title is its heading there; `notes` say above the tables what they hold; `measured_on` is the
    machine, if it is not this one.
    """
    measured_on = measured_on or describe_machine()
    tables = [tables] if isinstance(tables, Table) else tables
    show(title, tables, notes)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{name}.md").open("w", encoding="utf-8") as file:
        shown = "\n\n".join([*([notes] if notes else []), *map(_to_markdown, tables)])
        file.write(f"# {title}\n\n{shown}\n\n{measured_on}\n")
    text = json.dumps({"machine": measured_on, **numbers}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def show(title: str, tables: Sequence[Table], notes: str = "") -> None:
    """Prints the tables."""
    Console().print(title, *tables, notes, sep="\n")


def _to_markdown(table: Table) -> str:
    text = io.StringIO()
    heading, table.title = table.title, None
    Console(file=text, width=200).print(table)
    table.title = heading
    rows = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
    return f"## {heading}\n\n{rows}" if heading else rows


def describe_machine(packages: Sequence[str] = ("torch", "onnxruntime", "numpy")) -> str:
    """This machine, in a sentence, with the versions of packages."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"Measured on {_find_processor()}, Python {platform.python_version()}, {versions}."


def has_amx() -> bool:
    """Whether the processor multiplies tiles in 8 and 16 bits: others of its name take far longer."""
    return any("amx_tile" in flags for flags in _read_processors("flags"))


def _find_processor() -> str:
    """The processor's name and how many of its threads there are here."""
    models = _read_processors("model name")
    if not models:
        return platform.processor() or platform.machine()
    return f"{models[0]}{' with AMX' if has_amx() else ''}, {len(models)} threads"


def _read_processors(field: str) -> list[str]:
    """The field of each thread of the processor; empty where the system does not say it."""
    path = Path("/proc/cpuinfo")
    pairs = [line.partition(":") for line in path.read_text().splitlines()] if path.exists() else []
    return [value.strip() for name, _, value in pairs if name.strip() == field]

"""Shows a benchmark's table and keeps it: Markdown for people, JSON for machines."""

import io
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path("docs/results")


def publish(name: str, title: str, table: Table, numbers: Mapping[str, Any]) -> None:
    """Prints the table; writes it to docs/results/`name`.md, and the numbers to `name`.json beside it."""
    console = Console()
    console.print(title, table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{name}.md").open("w", encoding="utf-8") as file:
        file.write(f"# {title}\n\n{_markdown(table)}\n\n{_machine()}\n")
    text = json.dumps({"machine": _machine(), **numbers}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _markdown(table: Table) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "numpy"))
    return f"Measured on {_processor()}, Python {platform.python_version()}, {packages}."


def _processor() -> str:
    """The processor's name and how many of its threads there are here."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} threads" if models else platform.processor() or platform.machine()

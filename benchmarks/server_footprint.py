"""The server's footprint: memory and start time with the demo's models, and its environment on disk.

Needs `make demo` to have run. Prints a table and writes docs/results/server_footprint.{md,json}.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish

MODELS = Path("build/digits/models")
BUDGETS = {"memory": 120, "ready": 1.0, "environment": 350}


def main(
    starts: Annotated[int, typer.Option(min=1, help="How often the server is started.")] = 10,
    environment: Annotated[
        bool, typer.Option(help="Also install the serve extra into a new environment.")
    ] = True,
) -> None:
    """Measure and publish."""
    if not MODELS.is_dir():
        raise SystemExit(f"no models in `{MODELS}`: run `make demo` first")
    measured = [_measure_start() for _ in track(range(starts), description="start the server")]
    ready, memory = (statistics.median(values) for values in zip(*measured, strict=True))
    table = Table(box=box.MARKDOWN)
    for column in ("what", "measured", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row(
        f"start of the process to ready, median of {starts}", f"{ready:.2f} s", f"{BUDGETS['ready']:g} s"
    )
    table.add_row("memory (PSS) after predictions", f"{memory:.0f} MB", f"{BUDGETS['memory']} MB")
    numbers = {"ready_seconds": ready, "memory_mb": memory}
    if environment:
        numbers["environment_mb"] = size = _measure_environment()
        table.add_row(
            "environment of the `serve` extra on disk", f"{size:.0f} MB", f"{BUDGETS['environment']} MB"
        )
    publish("server_footprint", "The server with the two models of the demo", table, numbers)


def _measure_start() -> tuple[float, float]:
    """Seconds from starting the process to ready, and megabytes (10⁶) after a prediction of each model."""
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(MODELS), "--port", "0", "--log-level", "warning"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, "the server did not start"
        _get(f"{address[0]}/v2/health/ready")
        seconds = time.perf_counter() - begin
        for model in MODELS.iterdir():
            image = [[[0.5] * 8] * 8]
            _get(f"{address[0]}/v1/models/{model.name}:predict", f'{{"instances": [{image}]}}'.encode())
        supervisor = psutil.Process(process.pid)
        parts = (supervisor, *supervisor.children())
        memory = sum(part.memory_full_info().pss for part in parts) / 1e6
    finally:
        process.terminate()
        process.wait(30)
    return seconds, memory


def _get(url: str, body: bytes | None = None) -> None:
    """Asks until the server answers with 200, for at most 10 seconds."""
    for _ in range(2000):
        try:
            with urllib.request.urlopen(url, body):
                return
        except urllib.error.HTTPError as error:
            raise SystemExit(f"`{url}` answered {error.code}: {error.read()!r}") from error
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.005)
    raise SystemExit(f"`{url}` did not answer")


def _measure_environment() -> float:
    """Megabytes (10⁶) of a new environment with the serve extra, without pip."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", f"{folder}/bin/python", "install", "--quiet"]
        subprocess.run([*pip, "--constraint", "constraints.txt", ".[serve]"], check=True)
        files = [
            path.stat().st_size
            for path in Path(folder).rglob("*")
            if path.is_file() and not path.is_symlink()
        ]
    return sum(files) / 1e6


if __name__ == "__main__":
    typer.run(main)

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
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish, show

MODELS = Path("build/digits/models")
PARTS = {
    "supervisor": "the supervisor",
    "libraries": "libraries that the workers map",
    "shared": "what the workers share since they were forked",
    "own": "what each worker has for itself, all together",
}
BUDGETS = {"memory": 120, "ready": 1.0, "environment": 350}


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the server; memory in megabytes (10⁶), after a prediction of each model."""

    ready: float
    """Seconds from the start of the process."""
    processor: float
    """Seconds of all processes until then."""
    supervisor: float
    libraries: float
    """Of the workers: what is mapped from files."""
    shared: float
    """Of the workers: what they have in common since they were forked."""
    own: float
    """Of the workers: what each has for itself."""

    @property
    def memory(self) -> float:
        """Of all processes."""
        return self.supervisor + self.libraries + self.shared + self.own


def main(
    starts: Annotated[int, typer.Option(min=1, help="How often the server is started.")] = 10,
    environment: Annotated[
        bool, typer.Option(help="Also install the serve extra into a new environment.")
    ] = True,
    save: Annotated[bool, typer.Option(help="Whether the results are kept.")] = True,
) -> None:
    """Measure and publish."""
    if not MODELS.is_dir():
        raise SystemExit(f"no models in `{MODELS}`: run `make demo` first")
    measured = [_measure_start() for _ in track(range(starts), description="start the server")]

    def find_median(name: str) -> float:
        return float(statistics.median(getattr(start, name) for start in measured))

    ready, memory, processor = map(find_median, ("ready", "memory", "processor"))
    rows = [
        (f"start of the process to ready, median of {starts}", f"{ready:.2f} s", f"{BUDGETS['ready']:g} s"),
        ("processor time until then, of all processes", f"{processor:.2f} s", ""),
        ("memory (PSS) after predictions", f"{memory:.0f} MB", f"{BUDGETS['memory']} MB"),
        *((f"of it: {what}", f"{find_median(name):.0f} MB", "") for name, what in PARTS.items()),
    ]
    numbers = {"ready_seconds": ready, "memory_mb": memory, "processor_seconds": processor}
    numbers |= {f"{name}_mb": find_median(name) for name in PARTS}
    if environment:
        numbers["environment_mb"] = size = _measure_environment()
        rows.append(
            ("environment of the `serve` extra on disk", f"{size:.0f} MB", f"{BUDGETS['environment']} MB")
        )
    table = Table(box=box.MARKDOWN)
    for column in ("what", "measured", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        table.add_row(*row)
    title = "The server with the two models of the demo"
    if save:
        publish("server_footprint", title, table, numbers)
    else:
        show(title, [table])


def _measure_start() -> Start:
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(MODELS), "--port", "0", "--log-level", "warning"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, "the server did not start"
        _get(f"{address[0]}/v2/health/ready")
        ready = time.perf_counter() - begin
        supervisor = psutil.Process(process.pid)
        workers = supervisor.children()
        times = [part.cpu_times() for part in (supervisor, *workers)]
        processor = sum(each.user + each.system for each in times)
        for model in MODELS.iterdir():
            image = [[[0.5] * 8] * 8]
            _get(f"{address[0]}/v1/models/{model.name}:predict", f'{{"instances": [{image}]}}'.encode())
        memory = [_read_memory(worker.pid) for worker in workers]
        files, pages, own = (
            sum(each[name] for each in memory) for name in ("Pss_File", "Pss_Anon", "Private_Dirty")
        )
        parts = files, pages - own, own
        return Start(ready, processor, _read_memory(process.pid)["Pss"], *parts)
    finally:
        process.terminate()
        process.wait(30)


def _read_memory(process: int) -> dict[str, float]:
    """What the kernel counts of a process, by its names, in megabytes."""
    lines = (line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
    return {name.rstrip(":"): 1024 * int(kibibytes) / 1e6 for name, kibibytes, _ in lines}


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

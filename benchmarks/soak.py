"""A soak test: under load of every kind, every answer must be right and the server's memory steady.

For some minutes clients ask in JSON, in binary and over gRPC, and compare each answer with the first. Others
send invalid, hostile and broken-off requests; models are reloaded. Prints a table and
writes docs/results/soak.{md,json}.
"""

import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.results import publish
from benchmarks.servers.load import json_body
from benchmarks.servers.models import write_models
from benchmarks.servers.plans import PEERS, ServedModel
from benchmarks.servers.server import RunningServer, run_server
from benchmarks.soak_clients import CLIENTS, INFER, MODEL, SPARE, ServerAddress, Tally, ask_until_ended

BUILD = Path("build/soak")
RELOAD_SECONDS = 20.0
SAMPLE_SECONDS = 1.0
# Pauses of those that would otherwise take the processor from the others.
PAUSE_SECONDS = {"refused": 0.05, "hostile": 0.5, "broken off": 0.05, "reload": RELOAD_SECONDS}
STALL_SECONDS = 2
# What may come on top between the middle and the end, of allocators that keep what they had.
STEADY_RATIO, STEADY_MB = 1.05, 5.0
TOLERATED = f"at most {STEADY_RATIO:g} times the middle's and {STEADY_MB:g} MB"


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of the server: the medians of the first, the middle and the last tenth of the samples."""

    start: float
    middle: float
    end: float

    @property
    def is_steady(self) -> bool:
        """Whether the memory at the end is no more than in the middle, apart from allocators' reserves."""
        return self.end <= STEADY_RATIO * self.middle + STEADY_MB


def main(
    minutes: Annotated[float, typer.Option(min=0.2, help="How long.")] = 10.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the server.")] = 1,
) -> None:
    """Measure and publish; ends with 1 where an answer was wrong or the memory grew."""
    models = (BUILD / "models").resolve()
    write_models(models)
    shutil.copytree(models / MODEL, models / SPARE, dirs_exist_ok=True)
    plan = PEERS["adaptact"].plan(ServedModel(models, MODEL, workers, Path()))
    plan = replace(plan, command=[*plan.command, "--stall-seconds", str(STALL_SECONDS)])
    with run_server(plan, INFER, json_body(MODEL).content) as server:
        place = ServerAddress(plan.port, str(server.grpc_address))
        tally, samples = _soak(server, place, minutes * 60)
    memory = summarise_memory(samples)
    _publish(tally, memory, minutes, workers)
    if tally.failures or not memory.is_steady:
        raise typer.Exit(1)


def summarise_memory(samples: list[float]) -> Memory:
    """The memory at the start, in the middle and at the end."""
    tenth = max(1, len(samples) // 10)
    middle = (len(samples) - tenth) // 2
    return Memory(median(samples[:tenth]), median(samples[middle : middle + tenth]), median(samples[-tenth:]))


def _soak(server: RunningServer, place: ServerAddress, seconds: float) -> tuple[Tally, list[float]]:
    """The tally of answers, and the server's memory each second."""
    tally, ended = Tally(), threading.Event()
    threads = [
        threading.Thread(target=_visit, args=(kind, place, tally, ended), daemon=True) for kind in CLIENTS
    ]
    for thread in threads:
        thread.start()
    samples = []
    begin = time.monotonic()
    for number in track(range(int(seconds / SAMPLE_SECONDS)), description="soaking"):
        samples.append(server.memory_mb())
        time.sleep(max(0.0, begin + (number + 1) * SAMPLE_SECONDS - time.monotonic()))
    ended.set()
    for thread in threads:
        thread.join(60)
    return tally, samples


def _visit(kind: str, place: ServerAddress, tally: Tally, ended: threading.Event) -> None:
    pause = PAUSE_SECONDS.get(kind)
    ask_until_ended(kind, place, tally, ended if pause is None else _Pausing(ended, pause))


class _Pausing(threading.Event):
    """An event that waits a while before it says whether it is set."""

    def __init__(self, event: threading.Event, seconds: float) -> None:
        super().__init__()
        self._event = event
        self._seconds = seconds

    def is_set(self) -> bool:
        return self._event.wait(self._seconds)


def _publish(tally: Tally, memory: Memory, minutes: float, workers: int) -> None:
    asked = Table(box=box.MARKDOWN)
    for column in ("requests", "asked", "not answered as they should"):
        asked.add_column(column, justify="left" if column == "requests" else "right")
    for kind in CLIENTS:
        asked.add_row(kind, f"{tally.requests[kind]}", f"{tally.failures[kind]}")
    asked.add_row("all", f"{tally.requests.total()}", f"{tally.failures.total()}")
    used = Table(box=box.MARKDOWN, title="Memory of the server (PSS), MB")
    for column in ("start", "middle", "end", "verdict"):
        used.add_column(column, justify="right")
    verdict = "steady" if memory.is_steady else "grows"
    used.add_row(f"{memory.start:.1f}", f"{memory.middle:.1f}", f"{memory.end:.1f}", verdict)
    notes = (
        f"Start, middle and end are medians of a tenth of the time each; steady is an end of {TOLERATED}."
        + "".join(f"\n\n    {line}" for line in tally.messages)
    )
    numbers = {
        "minutes": minutes,
        "workers": workers,
        "requests": dict(tally.requests),
        "failures": dict(tally.failures),
        "memory_mb": {"start": memory.start, "middle": memory.middle, "end": memory.end},
        "steady": memory.is_steady,
    }
    title = f"Load of every kind for {minutes:g} min; workers: {workers}"
    publish("soak", title, [asked, used], numbers, notes)


if __name__ == "__main__":
    typer.run(main)

"""What was measured, and the page that says so."""

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 10**6
ABOVE_BASE_BUDGET_BYTES = 350 * MEGABYTE
STARTS = 5
START_BUDGET_SECONDS = 1.0  # of a server with one worker
WORKER_BUDGET_SECONDS = 0.2  # of each further one
STOP_BUDGET_SECONDS = 10.0  # Docker sends SIGKILL after that, unless told otherwise


@dataclass(frozen=True, slots=True, order=True)
class Lifetime:
    """One container from start to end; the one that took the least processor time is the least.

    `processor_seconds` are the server's until its first answer, to be measured on a quiet machine.
    """

    processor_seconds: float
    ready_seconds: float
    memory_bytes: int
    stop_seconds: float
    workers: int

    @property
    def start_budget_seconds(self) -> float:
        """How much processor time it may take until its first answer."""
        return START_BUDGET_SECONDS + WORKER_BUDGET_SECONDS * (self.workers - 1)


@dataclass(frozen=True, slots=True)
class Report:
    """The facts of a run that passed; sizes in bytes."""

    base: str
    base_bytes: int
    image_bytes: int
    largest_packages: tuple[tuple[str, int], ...]
    least: Lifetime
    tools: str

    @property
    def above_base_bytes(self) -> int:
        """What the image adds to its base."""
        return self.image_bytes - self.base_bytes

    def rows(self) -> list[tuple[str, str, str]]:
        """What was measured, the value, its budget."""
        least = self.least
        return [
            ("files above the base", megabytes(self.above_base_bytes), megabytes(ABOVE_BASE_BUDGET_BYTES)),
            ("files of the base", megabytes(self.base_bytes), ""),
            ("from start to ready", seconds(least.ready_seconds), ""),
            (
                f"processor time until the first answer, workers: {least.workers}",
                seconds(least.processor_seconds),
                seconds(least.start_budget_seconds),
            ),
            ("memory of the server after one request", megabytes(least.memory_bytes), ""),
            ("from SIGTERM to exit code 0", seconds(least.stop_seconds), seconds(STOP_BUDGET_SECONDS)),
        ]

    def write(self, path: Path) -> None:
        """The page at `path` holds this report."""
        table = "\n".join(f"| {' | '.join(row)} |" for row in self.rows())
        packages = "\n".join(f"| {name} | {megabytes(size)} |" for name, size in self.largest_packages)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = PAGE.format(base=self.base, tools=self.tools, starts=STARTS, table=table, packages=packages)
        path.write_text(text, encoding="utf-8")


def megabytes(size: int) -> str:
    """`size` in bytes, for people."""
    return f"{size / MEGABYTE:.0f} MB"


def seconds(time: float) -> str:
    """`time` in seconds, for people."""
    return f"{time:.2f} s"


PAGE = """\
# The CPU image, measured

Written by `make image-test`, which built `docker/cpu.Dockerfile` and ran the image with crun as
`docker/compose.yaml` asks: its own user, a read-only root and nothing writable but /dev/shm, no capability,
no new privileges. It passed: the health check succeeded, a prediction over HTTP equalled numpy's, the image
adds neither torch nor onnx nor pip nor a cache to its base, and SIGTERM ended the server with exit code 0.

Base: {base}. Tools: {tools}. 1 MB is 10⁶ bytes. Times and memory are those
of the start, of {starts}, that took the least processor time.

| what | measured | budget |
|---|---|---|
{table}

The largest packages in it:

| package | files |
|---|---|
{packages}
"""

"""Tests all that needs a GPU, and writes docs/results/gpu.md: `make gpu-test`, or `python -m tests.gpu`.

Without a GPU it says what is missing, writes nothing, and exits with 1. `--rehearse` runs the checks on the
CPU provider instead, and writes nothing either: it tests the program itself.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import ProviderName, find_provider
from adaptact.text import first_line
from tests.gpu.bench import Bench, CheckError, NotHereError
from tests.gpu.card import NoCardError, find_card
from tests.gpu.converting import check_parity, check_precisions, check_tf32
from tests.gpu.image import check_image
from tests.gpu.page import Outcome, render_page
from tests.gpu.serving import (
    check_auto,
    check_batching,
    check_cancellation,
    check_graphs,
    check_memory_limit,
    check_server,
)

PAGE = Path(__file__).parents[2] / "docs" / "results" / "gpu.md"
SECONDS = 570.0
"""No check begins later: all end within ten minutes."""
PROVIDERS: Sequence[ProviderName] = ("cuda", "tensorrt-rtx")
Check = Callable[[Bench], str]
CHECKS: Mapping[str, Check] = {
    "parity in full float32": check_parity,
    "TF32": check_tf32,
    "CUDA graphs": check_graphs,
    "joined requests": check_batching,
    "limit of memory": check_memory_limit,
    "ended runs": check_cancellation,
    "server": check_server,
    "`--provider auto`": check_auto,
    "lower precisions": check_precisions,
    "CUDA image": check_image,
}


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    logging.disable(logging.WARNING)
    try:
        return _run(arguments)
    finally:
        logging.disable(logging.NOTSET)


def _run(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--rehearse"]:
        outcomes = list(run_checks(("cpu",), CHECKS, time.monotonic() + SECONDS))
        return int(any(outcome.verdict == "FAILED" for outcome in outcomes))
    try:
        card = find_card()
        find_provider("cuda").require()
    except (NoCardError, ProviderError) as error:
        sys.stderr.write(f"error: {error}\nnothing was tested, and nothing written\n")
        return 1
    outcomes = list(run_checks(PROVIDERS, CHECKS, time.monotonic() + SECONDS))
    PAGE.write_text(render_page(card, outcomes), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
    return int(any(outcome.verdict == "FAILED" for outcome in outcomes))


def run_checks(
    providers: Sequence[ProviderName], checks: Mapping[str, Check], end: float
) -> Iterator[Outcome]:
    """The outcome of every check on each provider, as it comes; after `end` the others are left out."""
    for provider in providers:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(provider, Path(folder))
            for name, check in checks.items():
                outcome = _run_check(bench, name, check, end)
                sys.stdout.write(f"{outcome.verdict}: {name} on {provider}: {outcome.found}\n")
                sys.stdout.flush()
                yield outcome


def _run_check(bench: Bench, name: str, check: Check, end: float) -> Outcome:
    start = time.monotonic()
    if start >= end:
        return Outcome(name, bench.provider, "left out", "the ten minutes were over", 0.0)
    try:
        find_provider(bench.provider).require()
        found = check(bench)
    except (NotHereError, ProviderError) as error:
        return Outcome(name, bench.provider, "left out", str(error), time.monotonic() - start)
    except CheckError as error:
        return Outcome(name, bench.provider, "FAILED", str(error), time.monotonic() - start)
    except Exception as error:  # noqa: BLE001  # the outermost door: whatever a GPU does, the others are tested
        found = f"{type(error).__name__}: {first_line(error, 500)}"
        return Outcome(name, bench.provider, "FAILED", found, time.monotonic() - start)
    return Outcome(name, bench.provider, "passed", found, time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The page of what was tested on a GPU."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from tests.gpu.card import Card

PACKAGES = ("adaptact", "onnxruntime-gpu", "onnxruntime", "onnxruntime-ep-nv-tensorrt-rtx", "torch", "numpy")
Verdict = Literal["passed", "FAILED", "left out"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check on one provider: how it ended, and what was found, or why not."""

    check: str
    provider: str
    verdict: Verdict
    found: str
    seconds: float


def render_page(card: Card, outcomes: Sequence[Outcome]) -> str:
    """The page as Markdown: the machine, and a row for each check."""
    failed = sum(outcome.verdict == "FAILED" for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    rows = "\n".join(
        f"| {outcome.check} | {outcome.provider} | {outcome.verdict} | {_escape(outcome.found)} "
        f"| {outcome.seconds:.0f} |"
        for outcome in outcomes
    )
    verdict = f"{failed} of {len(outcomes)} checks FAILED." if failed else "No check failed."
    return f"""# Tested on a GPU

Written by `make gpu-test`, in {seconds:.0f} s. {verdict}

{card.name}, {card.memory_mib} MiB, compute capability {card.capability}, driver {card.driver};
Python {platform.python_version()}, {", ".join(_list_versions())}.

Errors are shares of the outputs' scale. Times are ratios by the clock on the wall, measured in turns.

| check | provider | | found | seconds |
|---|---|---|---|---|
{rows}
"""


def _list_versions() -> list[str]:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return versions


def _escape(text: str) -> str:
    """The text in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")

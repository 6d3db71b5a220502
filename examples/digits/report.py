"""The results of the demo: a table, and the checks that decide the exit status."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from adaptive_act import named_activations
from examples.digits.exported import ExportedModel
from examples.digits.served import ServerAnswers
from examples.digits.train import TrainedModel

SAME = 1e-5
"""The largest difference between served and PyTorch's logits, relative to the largest logit."""


@dataclass(frozen=True, slots=True)
class Variant:
    """All that was measured of one model; `expected` are PyTorch's logits, latencies are microseconds."""

    name: str
    trained: TrainedModel
    expected: NDArray[np.float32]
    exported: ExportedModel
    answers: ServerAnswers
    latency: float
    torch_latency: float

    def parameters(self) -> tuple[int, int]:
        """How many weights the model has, and how many learned parameters its activations have."""
        activations = named_activations(self.trained.model).values()
        learned = sum(p.numel() for activation in activations for p in activation.parameters())
        return sum(p.numel() for p in self.trained.model.parameters()) - learned, learned

    def right(self, labels: NDArray[np.int64]) -> int:
        """How many served answers are right."""
        return int((self.answers.logits.argmax(1) == labels).sum())

    def difference(self) -> float:
        """The largest difference between served and PyTorch's logits, relative to the largest logit."""
        largest = np.abs(self.answers.logits - self.expected).max() / np.abs(self.expected).max()
        return float(largest)

    def agreeing(self) -> int:
        """How many served answers are the class that PyTorch answers."""
        return int((self.answers.logits.argmax(1) == self.expected.argmax(1)).sum())


def make_table(variants: list[Variant], labels: NDArray[np.int64]) -> Table:
    """The comparison, a column a model."""
    digits = len(labels)
    first = variants[0].latency
    table = Table(box=box.MARKDOWN)
    table.add_column("")
    for variant in variants:
        table.add_column(variant.name, justify="right")
    rows = {
        f"test digits right, of {digits}": lambda v: f"{v.right(labels)} ({v.right(labels) / digits:.1%})",
        "weights + learned activation parameters": lambda v: "{:,} + {}".format(*v.parameters()),
        "training after the swap, s": lambda v: f"{v.trained.seconds:.1f}",
        "file's error, share of what parity allows": _describe_parity,
        "served answers equal to PyTorch's": lambda v: f"{v.agreeing()} of {digits}",
        "their largest difference / largest logit": lambda v: f"{v.difference():.1e}",
        "one prediction, adaptact's file, µs": lambda v: f"{v.latency:.1f} ({v.latency / first:.2f}x)",
        "one prediction, torch.onnx.export's file, µs": lambda v: (
            f"{v.torch_latency:.1f} ({v.torch_latency / first:.2f}x)"
        ),
        "one prediction over HTTP, ms": lambda v: f"{v.answers.milliseconds:.2f}",
    }
    for label, cell in rows.items():
        table.add_row(label, *map(cell, variants))
    return table


def _describe_parity(variant: Variant) -> str:
    (output,) = variant.exported.manifest.parity.outputs
    return f"{output.file_error / output.allowed:.0%}"


def describe_verdict(variants: list[Variant], labels: NDArray[np.int64]) -> str:
    """What the test digits say about the difference, by an exact two-sided sign test."""
    plain, adaptive = variants
    was, is_now = (v.answers.logits.argmax(1) == labels for v in (plain, adaptive))
    won, lost = int((is_now & ~was).sum()), int((was & ~is_now).sum())
    probability = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return (
        f"{adaptive.name} is right on {won} digits that {plain.name} misses, and wrong on {lost} that it has "
        f"right (sign test p = {probability:.2g}): one run on {len(labels)} digits shows that the path "
        "works, not which activation is better."
    )


def list_failures(variants: list[Variant], outputs_moved: float | None) -> list[str]:
    """What went wrong, one line each; empty when all checks passed."""
    failures = []
    if outputs_moved != 0:
        failures.append(f"the swap moved the outputs by {outputs_moved}, expected 0")
    for variant in variants:
        if variant.agreeing() != len(variant.expected):
            failures.append(
                f"{variant.name}: {variant.agreeing()} of {len(variant.expected)} answers are PyTorch's"
            )
        if not variant.difference() <= SAME:
            failures.append(
                f"{variant.name}: served logits differ by {variant.difference():.1e}, expected {SAME:g}"
            )
    return failures


def write_markdown(table: Table, path: Path) -> None:
    """Writes the table as Markdown to `path`."""
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    lines = (line.rstrip() for line in text.getvalue().strip().splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

"""Writes docs/activations.md, which lists every activation, from the classes themselves: `make docs`."""

import json
from pathlib import Path
from typing import Any

from adaptive_act import ACTIVATIONS, Activation
from adaptive_act.activations.catalogue import Entry, catalogue

PAGE = Path(__file__).with_suffix(".md")
RESULTS = Path(__file__).parent / "results"
MOST_NAMED = 10

HEAD = """\
# Activations

After this page you can choose an activation: what it computes, what it learns, what it costs.

{count} activations that learn their parameters with the weights, shared by a layer or one per channel
(`PELU(channels=64, channel_axis=1)`). Many equal a plain activation at certain values: that is their *fixed
point*, and `swap` starts them there, so that a trained model computes what it did before.
`adaptive_act.catalogue()` gives this table in Python.

This page is written by `make docs` from the classes; [CONTRIBUTING](../CONTRIBUTING.md) says how to add one.

![Each activation at five values of one parameter](images/activations.png)

| activation | formula | learned, with start | equals | operators in the ONNX file | training | serving |
|---|---|---|---|---|---|---|
"""

TAIL = """
*Activation*: * marks one that looks at more than one place of its input and needs `channels`. *Learned*: > 0
marks a parameter that is kept positive by its logarithm. *Equals*: the plain torch activations at which it
has a fixed point; most are exact to the bit, the others differ from torch's kernel in the last place of
float32. *Operators*: what `adaptact export` writes for it alone, shared, float32, before neighbouring layers
take over its scales and shifts; a test holds each class to this list. *Training*: the time of one training
step of a small CNN, as a multiple of the plain activation that it replaces
([results/training_cost.md](results/training_cost.md)). *Serving*: the time of one prediction of a CNN of six
convolutions from the exported file, shared parameters, as a multiple of the same network with ReLU
([results/activation_cost.md](results/activation_cost.md)).
"""


def make_page() -> str:
    """The page's text."""
    training, serving = _read_training_costs(), _read_serving_costs()
    rows = [_make_row(entry, training.get(entry.name), serving.get(entry.name)) for entry in catalogue()]
    sections = [_make_section(ACTIVATIONS[entry.name]) for entry in catalogue()]
    return HEAD.format(count=len(rows)) + "\n".join(rows) + "\n" + TAIL + "\n" + "\n".join(sections)


def _make_row(entry: Entry, training: float | None, serving: float | None) -> str:
    learned = ", ".join(
        f"{name} = {parameter.init:.4g}{' (> 0)' if parameter.positive else ''}"
        for name, parameter in entry.learned.items()
    )
    cells = (
        f"`{entry.name}`{'' if entry.elementwise else ' *'}",
        entry.formula.replace("|", "\\|"),
        learned or "a small network",
        _format_equals(entry),
        ", ".join(entry.operators),
        *(f"{cost:.2f}" if cost else "" for cost in (training, serving)),
    )
    return f"| {' | '.join(cells)} |"


def _format_equals(entry: Entry) -> str:
    if len(entry.equals) > MOST_NAMED:
        return "any plain activation"
    return ", ".join(entry.equals) or "none"


def _read_training_costs() -> dict[str, float]:
    """The measured step of each activation in the CNN, to that of the plain one."""
    return {row["activation"]: row["ours"] for row in _read_rows("training_cost") if row["network"] == "CNN"}


def _read_serving_costs() -> dict[str, float]:
    """The measured prediction of each activation, shared parameters, to that of ReLU."""
    return {
        row["activation"]: row["to_plain"]["ours"]
        for row in _read_rows("activation_cost")
        if (row["network"], row["batch"], row["threads"]) == ("CNN", 1, 1)
        if not (row["per_channel"] and ACTIVATIONS[row["activation"]].elementwise)
    }


def _read_rows(name: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{name}.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return rows


def _make_section(kind: type[Activation]) -> str:
    """The class docstring as a section."""
    lines = [line.removeprefix("    ") for line in (kind.__doc__ or "").strip().splitlines()]
    return f"## {kind.__name__}\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")

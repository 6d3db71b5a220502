"""Writes docs/activations.md, which lists every activation, from the classes themselves: `make docs`."""

from pathlib import Path

from adaptive_act import ACTIVATIONS, Activation

PAGE = Path(__file__).with_suffix(".md")

HEAD = """\
# Activations

Every activation learns its parameters with the weights, shared by a layer or one per channel
(`PELU(channels=64, channel_axis=1)`). Many equal a plain activation at certain values: that is their *fixed
point*, and `swap` starts them there, so that a trained model computes what it did before.

This page is written by `make docs` from the classes; [CONTRIBUTING](../CONTRIBUTING.md) says how to add one.

| activation | formula | learned, with start | equals | operators in the ONNX file |
|---|---|---|---|---|
"""

TAIL = """
*Learned*: > 0 marks a parameter that is kept positive by its logarithm. *Equals*: the plain torch activations
at which it has a fixed point; all are exact but `Swish` at `SiLU` and `MPELU` at `ELU`, which differ from
torch's kernel in the last place of float32. *Operators*: what `adaptact-export` writes for it alone, shared,
float32, before neighbouring layers take over its scales and shifts; a test holds each class to this list.
"""


def page() -> str:
    """The page's text."""
    rows = [_row(name, kind) for name, kind in sorted(ACTIVATIONS.items(), key=lambda item: item[0].lower())]
    return HEAD + "\n".join(rows) + "\n" + TAIL + "\n" + "\n".join(map(_section, ACTIVATIONS.values()))


def _row(name: str, kind: type[Activation]) -> str:
    formula = (kind.__doc__ or "").splitlines()[0].partition(": ")[0]
    learned = ", ".join(
        f"{parameter} = {spec.init:g}{' (> 0)' if spec.positive else ''}"
        for parameter, spec in kind.learned.items()
    )
    equals = ", ".join(plain.__name__ for plain in kind.fixed_points) or "none"
    cells = (f"`{name}`", formula.replace("|", "\\|"), learned, equals, ", ".join(kind.onnx_ops))
    return f"| {' | '.join(cells)} |"


def _section(kind: type[Activation]) -> str:
    """The class docstring as a section."""
    lines = [line.removeprefix("    ") for line in (kind.__doc__ or "").strip().splitlines()]
    return f"## {kind.__name__}\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Draws docs/images/way.svg: the way of a model through the three packages, and the evidence of each step."""

from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "images" / "way.svg"

WIDTH, HEIGHT = 1210, 270
LEFT, STEP_WIDTH, STEP_HEIGHT, GAP = 24, 140, 56, 30
BETWEEN = 104  # packages, where a file is handed on
STEPS_TOP, EVIDENCE_TOP = 96, 196

PACKAGES = (
    ("adaptive_act", "PyTorch", ("swap", "train")),
    ("convert", "PyTorch, ONNX", ("export", "verify")),
    ("serve", "ONNX Runtime", ("serve", "compare")),
)
# What a step does, what it leaves behind for the next one, and what shows that it was right.
STEPS = {
    "swap": ("activations that learn", "", ("outputs unchanged,", "compared on a sample")),
    "train": ("at their own rate", "model.pt", ("curves, decisions,", "paired-seed studies")),
    "export": ("standard operators", "", ("each rewrite exact", "or declined, with reason")),
    "verify": ("against float64", "model.onnx", ("parity report, manifest,", "signature in the file")),
    "serve": ("HTTP and gRPC", "", ("metrics, access log,", "audit log")),
    "compare": ("on live traffic", "", ("guardrails, and a verdict", "valid at any look")),
}
# Both of a pair have a contrast of 7 to 1 or more with the background of their scheme.
STYLE = """\
text { font-family: Helvetica, Arial, sans-serif; font-size: 12px; fill: #1a1a1a; text-anchor: middle }
.name { font-size: 16px; font-weight: bold }
.package { font-size: 13px; font-weight: bold; text-anchor: start }
.page { fill: #ffffff } .group { fill: #f4f6f8; stroke: #8a939c } .step { fill: #ffffff; stroke: #0b5c92 }
.arrow { stroke: #0b5c92; stroke-width: 2 } .head { fill: #0b5c92 }
.proof { stroke: #8a939c; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text { fill: #eceff1 }
.page { fill: #15191d } .group { fill: #1f252b; stroke: #77818b } .step { fill: #15191d; stroke: #7cc4f2 }
.arrow { stroke: #7cc4f2 } .head { fill: #7cc4f2 } .proof { stroke: #77818b }
}"""


def draw() -> str:
    """The picture as SVG, for light and dark pages."""
    label = "The way of a model: swap, train, export, verify, serve, compare, and the evidence of each step"
    head = '<path class="head" d="M0 0L8 4L0 8z"/>'
    parts = [
        f"<style>\n{STYLE}\n</style>",
        f'<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6">'
        f"{head}</marker>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
    ]
    for number, (package, needs, names) in enumerate(PACKAGES):
        parts += _draw_package(2 * number, package, needs, len(names))
    for number, name in enumerate(STEPS):
        parts += _draw_step(number, name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _draw_package(first: int, package: str, needs: str, steps: int) -> list[str]:
    left = _place(first) - 12
    width = steps * STEP_WIDTH + (steps - 1) * GAP + 24
    return [
        f'<rect class="group" x="{left}" y="24" width="{width}" height="{HEIGHT - 48}" rx="6"/>',
        f'<text class="package" x="{left + 12}" y="48">{escape(f"{package}: {needs}")}</text>',
    ]


def _draw_step(number: int, name: str) -> list[str]:
    does, leaves, evidence = STEPS[name]
    left, middle = _place(number), _place(number) + STEP_WIDTH / 2
    parts = [
        f'<rect class="step" x="{left}" y="{STEPS_TOP}" width="{STEP_WIDTH}" height="{STEP_HEIGHT}" rx="6"/>',
        f'<text class="name" x="{middle}" y="{STEPS_TOP + 24}">{name}</text>',
        f'<text x="{middle}" y="{STEPS_TOP + 44}">{does}</text>',
        f'<path class="proof" d="M{middle} {STEPS_TOP + STEP_HEIGHT}V{EVIDENCE_TOP}"/>',
        *(
            f'<text x="{middle}" y="{EVIDENCE_TOP + 18 + 17 * line}">{escape(text)}</text>'
            for line, text in enumerate(evidence)
        ),
    ]
    if number + 1 < len(STEPS):
        start, end, y = left + STEP_WIDTH, _place(number + 1) - 1, STEPS_TOP + STEP_HEIGHT / 2
        parts.append(
            f'<line class="arrow" x1="{start}" y1="{y}" x2="{end}" y2="{y}" marker-end="url(#head)"/>'
        )
    if leaves:
        parts.append(f'<text x="{left + STEP_WIDTH + BETWEEN / 2}" y="{STEPS_TOP - 14}">{leaves}</text>')
    return parts


def _place(number: int) -> int:
    return LEFT + 12 + number * (STEP_WIDTH + GAP) + number // 2 * (BETWEEN - GAP)


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")

"""Draws docs/images/rooms.svg: the rooms of the packages, and the ways of a model and of a request."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "images" / "rooms.svg"

WIDTH, HEIGHT = 1120, 560
ROOM_WIDTH, ROOM_HEIGHT, GAP = 104, 32, 30
LEFT, RIGHT = 20, WIDTH - 20
# Okabe and Ito's blue and vermilion, which the colour-blind can tell apart.
MODEL, REQUEST = "#0072b2", "#d55e00"
ALONG, BESIDE = "#ffffff", "#f0f0f0"


@dataclass(frozen=True, slots=True)
class Package:
    """A box with two lines of rooms: those along the way, joined by arrows, and those beside it."""

    title: str
    top: int
    along: tuple[str, ...]
    beside: tuple[str, ...]
    colour: str
    start: str
    end: str


PACKAGES = (
    Package(
        "adaptive_act: torch",
        20,
        ("activations", "swapping", "training", "checkpoint"),
        ("activation", "kernels", "libraries", "explain", "study", "page"),
        MODEL,
        "a trained model",
        "model.pt",
    ),
    Package(
        "convert: torch, onnx",
        184,
        ("sources", "rewriting", "parity", "precision", "evidence", "artefact"),
        ("model_io", "graph", "rules", "tuning", "manifest", "commands"),
        MODEL,
        "model.pt",
        "model.onnx",
    ),
    Package(
        "serve: onnxruntime, fastapi",
        348,
        ("client", "rest, grpc", "access", "protocol", "engine"),
        ("workers", "shared", "observe", "experiments", "settings", "options"),
        REQUEST,
        "a request",
        "model.onnx",
    ),
)
CONSOLE = (
    "adaptact: the command `adaptact`, and the console that all commands share; it imports none of the three"
)


def draw() -> str:
    """The picture as SVG."""
    parts = [_marker(colour) for colour in (MODEL, REQUEST)]
    for package in PACKAGES:
        parts += _package(package)
    parts += [_box(LEFT, 512, RIGHT - LEFT, 32, BESIDE), _text(WIDTH / 2, 533, CONSOLE)]
    label = "The rooms of adaptact, and the way a model and a request take through them"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}" font-family="Helvetica, Arial, sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _package(package: Package) -> list[str]:
    way, side = package.top + 42, package.top + 94
    first, last = _place(0), _place(len(package.along) - 1) + ROOM_WIDTH
    is_request = package.colour == REQUEST
    parts = [
        _box(LEFT, package.top, RIGHT - LEFT, 144, "#fafafa"),
        f'<text x="{LEFT + 12}" y="{package.top + 22}" font-weight="bold">{escape(package.title)}</text>',
        _text(LEFT + 60, way + 21, package.start),
        _arrow(first - GAP / 2, first, way, package.colour),
        _text(last + GAP + 44, way + 21, package.end),
        # A model goes out of a package that makes it, and into the one that serves it.
        _arrow(last + GAP, last, way, MODEL) if is_request else _arrow(last, last + GAP, way, MODEL),
    ]
    for number in range(len(package.along) - 1):
        start = _place(number) + ROOM_WIDTH
        parts.append(_arrow(start, start + GAP, way, package.colour, both=is_request))
    return [*parts, *_rooms(package.along, way, ALONG), *_rooms(package.beside, side, BESIDE)]


def _place(number: int) -> float:
    return LEFT + 130 + number * (ROOM_WIDTH + GAP)


def _rooms(names: Sequence[str], top: float, fill: str) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        parts.append(_box(_place(number), top, ROOM_WIDTH, ROOM_HEIGHT, fill))
        parts.append(_text(_place(number) + ROOM_WIDTH / 2, top + 21, name))
    return parts


def _box(left: float, top: float, width: float, height: float, fill: str) -> str:
    size = f'width="{width}" height="{height}" rx="5"'
    return f'<rect x="{left}" y="{top}" {size} fill="{fill}" stroke="#999999"/>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _arrow(start: float, end: float, top: float, colour: str, *, both: bool = False) -> str:
    y = top + ROOM_HEIGHT / 2
    tail = f' marker-start="url(#{_name(colour)})"' if both else ""
    return (
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="{colour}" stroke-width="2"'
        f'{tail} marker-end="url(#{_name(colour)})"/>'
    )


def _marker(colour: str) -> str:
    return (
        f'<marker id="{_name(colour)}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def _name(colour: str) -> str:
    return f"arrow-{colour.removeprefix('#')}"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")

"""Figures of matplotlib as images, their texts in the reader's language where a font can show them."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from adaptact.languages.spoken import speak, spoken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS_PER_INCH = 150
_JAPANESE = (
    *(
        "Noto Sans CJK JP",
        "Noto Sans JP",
        "Hiragino Sans",
        "Hiragino Kaku Gothic ProN",
        "Yu Gothic",
        "Meiryo",
    ),
    *("IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic", "BIZ UDGothic", "MS Gothic"),
)
"""Fonts with Japanese, of the systems that have them."""


def draw_svg(draw: "Callable[[], Figure]") -> bytes:
    """The figure as SVG. Its texts stay text, so that the reader's own fonts show them, Japanese too."""
    with _settings():
        return _write(draw(), "svg")


def draw_png(draw: "Callable[[], Figure]", pixels_per_inch: int = PIXELS_PER_INCH) -> bytes:
    """The figure as PNG; in English where no font here has the letters of the language that is spoken."""
    with as_pixels():
        return _write(draw(), "png", pixels_per_inch)


@contextmanager
def as_pixels() -> Iterator[None]:
    """What is drawn within it is in the spoken language, or in English where no font here has its letters."""
    with speak(spoken() if find_font() else "en"), _settings():
        yield


@cache
def find_font() -> str | None:
    """A font of this machine with Japanese; None where there is none."""
    from matplotlib import font_manager  # noqa: PLC0415  # costs 0.5 s to import

    known = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in _JAPANESE if name in known), None)


def _write(figure: "Figure", file_format: str, pixels_per_inch: int = PIXELS_PER_INCH) -> bytes:
    # The file names no date and no program, so that equal figures are equal files.
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[file_format]
    written: IO[bytes] = io.BytesIO()
    figure.savefig(written, format=file_format, dpi=pixels_per_inch, metadata=metadata, facecolor="white")
    written.seek(0)
    return written.read()


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib  # noqa: PLC0415

    fonts = ["DejaVu Sans", *filter(None, [find_font() if spoken() == "ja" else None])]
    # The salt makes the ids in the drawing follow from its content.
    wanted: dict[Any, Any] = {"svg.hashsalt": "adaptact", "svg.fonttype": "none", "font.family": fonts}
    with matplotlib.rc_context(wanted), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's fonts have it
        yield

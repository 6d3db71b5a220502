"""What notebooks show of an object: a table or curves, as HTML with its own look, and nothing that runs."""

from collections.abc import Sequence
from html import escape as escape_markup

from adaptact.languages.spoken import say
from adaptact.report.charts import choose_ticks
from adaptact.style import SERIES
from adaptact.text import escape, isolate

MOST_ROWS = 60
MOST_CURVES = 32
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 336, 204, 54, 40, 8
_MARGIN = 0.05
# Blue, which stands out on the light and on the dark ground of a notebook, as the notebook's own text does.
_LEARNED, _TEXT, _LINE = SERIES[0], "currentColor", "#80808060"
_CELL = f"padding:.2em .8em;text-align:left;border-bottom:1px solid {_LINE}"


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> str:
    """A table with its title, and a note below; of many rows the first ones are shown, and counted."""
    cells = [_row("td", row) for row in rows[:MOST_ROWS]]
    more = f"<p>… and {len(rows) - MOST_ROWS:,} more</p>" if len(rows) > MOST_ROWS else ""
    table = f"<table><thead>{_row('th', header)}</thead><tbody>{''.join(cells)}</tbody></table>"
    return f"<div><strong>{_write(title)}</strong>{table}{more}<p>{_write(note)}</p></div>"


def show_curves(title: str, x: Sequence[float], curves: Sequence[Sequence[float]]) -> str:
    """The curves over x as one drawing; what is not finite is left out, as are curves beyond MOST_CURVES."""
    shown = [[pair for pair in zip(x, y, strict=True) if _is_finite(pair[1])] for y in curves[:MOST_CURVES]]
    values = [value for curve in shown for _, value in curve] or [0.0]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    margin = _MARGIN * (high - low)
    low, high = low - margin, high + margin
    place_x = _Axis(min(x), max(x), _LEFT, _WIDTH - _EDGE)
    place_y = _Axis(low, high, _HEIGHT - _BOTTOM, _EDGE)
    lines = "".join(
        f'<polyline fill="none" stroke="{_LEARNED}" stroke-width="{2 if len(shown) == 1 else 1.2}" points="'
        + " ".join(f"{place_x.place(at):.1f},{place_y.place(value):.1f}" for at, value in curve)
        + '"/>'
        for curve in shown
    )
    return (
        f"<div><strong>{_write(title)}</strong><br>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{_write(title)}" '
        f'font-size="11" fill="{_TEXT}">{_draw_axes(place_x, place_y)}{lines}</svg></div>'
    )


class _Axis:
    """Values from low to high on pixels from start to end."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def place(self, value: float) -> float:
        """The pixel of the value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _draw_axes(x: _Axis, y: _Axis) -> str:
    across = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _EDGE}" y1="{y.place(v):.1f}" y2="{y.place(v):.1f}" '
        f'stroke="{_LINE}"/>'
        f'<text x="{_LEFT - 5}" y="{y.place(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in choose_ticks(y.low, y.high, 5)
    )
    down = "".join(
        f'<text x="{x.place(v):.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{v:g}</text>'
        for v in choose_ticks(x.low, x.high, 5)
    )
    right, up = (_LEFT + _WIDTH - _EDGE) / 2, (_EDGE + _HEIGHT - _BOTTOM) / 2
    names = (
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="middle">{_write(say("input x"))}</text>'
        f'<text transform="translate(12 {up}) rotate(-90)" text-anchor="middle">'
        f"{_write(say('output f(x)'))}</text>"
    )
    return f"{across}{down}{names}"


def _row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f'<{tag} style="{_CELL}">{_write(str(c))}</{tag}>' for c in cells) + "</tr>"


def _write(text: str) -> str:
    return escape_markup(isolate(escape(text)))


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")

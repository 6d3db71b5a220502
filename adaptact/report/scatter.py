"""Points over two amounts as numbers of an SVG, which the page's template writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from adaptact.report.charts import Tick, choose_ticks

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 90, 25, 40, 56
MARGIN = 0.06
"""The share of an axis that is left free at both of its ends."""
_HALF = WIDTH / 2

Shape = Literal["filled", "hollow", "cross"]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spot:
    """A point to draw, with its intervals if they are known; `above` and `below` are texts beside it."""

    x: float
    y: float
    shape: Shape = "filled"
    x_interval: Interval | None = None
    y_interval: Interval | None = None
    has_ring: bool = False
    has_diamond: bool = False
    above: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """The name of an axis, and how a value on it is written."""

    name: str
    show: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class DrawnSpot:
    """A point in pixels; intervals are the pixels of their ends."""

    x: float
    y: float
    shape: Shape
    across: Interval | None
    up: Interval | None
    has_ring: bool
    has_diamond: bool
    above: str
    below: str

    @property
    def is_right(self) -> bool:
        """Whether its texts go to its left."""
        return self.x > _HALF


@dataclass(frozen=True, slots=True)
class Scatter:
    """A drawing: everything is in pixels, or text that the template escapes."""

    caption: str
    spots: Sequence[DrawnSpot]
    line: str
    """Through the points that it joins, as SVG writes them."""
    limit: float | None
    """Where a dashed line lies across."""
    limit_name: str
    x_name: str
    y_name: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    legend: Sequence[tuple[str, str]]
    """A shape, `ring` or `diamond`, and what it means."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    kind: ClassVar[str] = "scatter"


def draw_scatter(
    caption: str,
    spots: Sequence[Spot],
    axes: tuple[Axis, Axis],
    *,
    joined: Sequence[int] = (),
    limit: tuple[float, str] | None = None,
    legend: Sequence[tuple[str, str]] = (),
) -> Scatter:
    """The points, of which one is needed at least; a line joins those at the places `joined`, in this order.

    `limit` is a value up the second axis that a dashed line marks, and its name.
    """
    x_low, x_high = _choose_ends([spot.x for spot in spots], [spot.x_interval for spot in spots])
    limits = [] if limit is None else [limit[0]]
    y_low, y_high = _choose_ends([*limits, *(spot.y for spot in spots)], [spot.y_interval for spot in spots])

    def to_x(value: float) -> float:
        return round(LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def to_y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM), 1)

    drawn = [_draw_spot(spot, to_x, to_y) for spot in spots]
    return Scatter(
        caption,
        drawn,
        " ".join(f"{drawn[place].x},{drawn[place].y}" for place in joined),
        None if limit is None else to_y(limit[0]),
        "" if limit is None else limit[1],
        axes[0].name,
        axes[1].name,
        [Tick(to_x(value), axes[0].show(value)) for value in choose_ticks(x_low, x_high)],
        [Tick(to_y(value), axes[1].show(value)) for value in choose_ticks(y_low, y_high, 6)],
        legend,
    )


def _choose_ends(values: Sequence[float], intervals: Sequence[Interval | None]) -> Interval:
    """The ends of an axis, a little beyond all that it shows."""
    shown = [*values, *(end for interval in intervals if interval is not None for end in interval)]
    low, high = min(shown), max(shown)
    margin = MARGIN * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _draw_spot(spot: Spot, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> DrawnSpot:
    across, up = spot.x_interval, spot.y_interval
    return DrawnSpot(
        to_x(spot.x),
        to_y(spot.y),
        spot.shape,
        None if across is None else (to_x(across[0]), to_x(across[1])),
        None if up is None else (to_y(up[0]), to_y(up[1])),
        spot.has_ring,
        spot.has_diamond,
        spot.above,
        spot.below,
    )

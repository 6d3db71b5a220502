"""Curves over time as numbers of an SVG, which the page's template writes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 15, 30
MOST_MARKS = 40

Point: TypeAlias = tuple[int, float]
"""A time in microseconds, and a value."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through its points; the number is that of its colour."""

    label: str
    points: Sequence[Point]
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """From low to high at each time; None where an end is open."""

    times: Sequence[int]
    lows: Sequence[float | None]
    highs: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in pixels, and its text."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class DrawnCurve:
    """A curve in pixels."""

    label: str
    colour: int
    line: str
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: everything is in pixels, or text that the template escapes."""

    caption: str
    curves: Sequence[DrawnCurve]
    band: str
    baseline: float | None
    marks: Sequence[Tick]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    kind: str = "chart"


@dataclass(frozen=True, slots=True)
class Frame:
    """Which times and values the drawing shows; what is beyond its values lies on its edge."""

    start: int
    end: int
    low: float
    high: float

    def x(self, at: int) -> float:
        """Pixels from the left."""
        share = (at - self.start) / (self.end - self.start)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - min(max(share, 0), 1) * (HEIGHT - TOP - BOTTOM), 1)

    def place(self, points: Sequence[Point]) -> str:
        """The points as SVG writes them."""
        return " ".join(f"{self.x(at)},{self.y(value)}" for at, value in points)


def draw(
    caption: str,
    curves: Sequence[Curve],
    show: Callable[[float], str],
    *,
    band: Band | None = None,
    baseline: float | None = None,
    marks: Mapping[int, str] | None = None,
) -> Chart:
    """The curves over the time that they have in common; one needs a point at least.

    `show` writes a value of the axis. `marks` are texts at times, of which those before the first point are
    left out.
    """
    frame = _choose_frame(curves, band, baseline)
    shown = [(at, text) for at, text in (marks or {}).items() if frame.start <= at <= frame.end]
    return Chart(
        caption,
        [_draw_curve(curve, frame) for curve in curves if curve.points],
        "" if band is None else _draw_band(band, frame),
        None if baseline is None else frame.y(baseline),
        [Tick(frame.x(at), text) for at, text in shown[-MOST_MARKS:]],
        _list_times(frame),
        [Tick(frame.y(value), show(value)) for value in choose_ticks(frame.low, frame.high)],
    )


def choose_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round values from low to high, `most` of them at most."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first = math.ceil(low / step)
    # Rounded, since 3 * 0.1 is not 0.3; + 0.0, since there is a negative zero.
    values = (float(f"{(first + place) * step:.12g}") + 0.0 for place in range(most + 1))
    return [value for value in values if low <= value <= high]


def _choose_frame(curves: Sequence[Curve], band: Band | None, baseline: float | None) -> Frame:
    """All times; with a band the values of the later half, since it begins wider than anything later."""
    times = [at for curve in curves for at, _ in curve.points]
    start, end = min(times), max(times)
    since = start if band is None else start + (end - start) / 2
    values = [value for curve in curves for at, value in curve.points if at >= since]
    if band is not None:
        ends = zip(band.times, band.lows, band.highs, strict=True)
        values += [value for at, *both in ends if at >= since for value in both if value is not None]
    if baseline is not None:
        values.append(baseline)
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return Frame(start, max(end, start + 1), low - margin if baseline is not None else low, high + margin)


def _draw_curve(curve: Curve, frame: Frame) -> DrawnCurve:
    at, value = curve.points[-1]
    return DrawnCurve(curve.label, curve.colour, frame.place(curve.points), (frame.x(at), frame.y(value)))


def _draw_band(band: Band, frame: Frame) -> str:
    """Along the upper ends, and back along the lower ones; an open end is the edge of the drawing."""
    upper = [
        (at, frame.high if high is None else high) for at, high in zip(band.times, band.highs, strict=True)
    ]
    lower = [(at, frame.low if low is None else low) for at, low in zip(band.times, band.lows, strict=True)]
    return frame.place([*upper, *reversed(lower)])


def _list_times(frame: Frame) -> list[Tick]:
    """The first time, the last, and two between."""
    times = [frame.start + (frame.end - frame.start) * part // 3 for part in range(4)]
    texts = [datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%m-%d %H:%M") for at in times]
    return [Tick(frame.x(at), text) for at, text in zip(times, texts, strict=True)]

"""The band of an effect over time as lines of a terminal, the newest last: it closes from above to below."""

from collections.abc import Sequence
from dataclasses import dataclass

from serve.client.experiments.amounts import show_effect, show_time
from serve.client.experiments.replies import Look, Metric

WIDTH = 51
"""Characters: with the time and the effect a line fits into 80."""
MOST_LINES = 12


@dataclass(frozen=True, slots=True)
class Scale:
    """The values from the left end of a line to its right end."""

    low: float
    high: float

    def place(self, value: float) -> int:
        """The column of a value; -1 or WIDTH for one beyond the ends."""
        share = (value - self.low) / (self.high - self.low)
        return -1 if share < 0 else WIDTH if share > 1 else round(share * (WIDTH - 1))


def draw_bands(looks: Sequence[Look], name: str, candidate: str) -> list[str]:
    """A line a look for the metric of the candidate; none without an effect."""
    found = [(look.at, metric) for look in looks if (metric := find_metric(look, name, candidate))]
    if not found or all(metric.effect is None for _, metric in found):
        return []
    shown = [found[place] for place in spread(len(found), MOST_LINES)]
    scale = choose_scale([metric for _, metric in shown])
    return [
        f"{show_time(at)}  {_draw(metric, scale)}  {show_effect(metric, metric.effect)}"
        for at, metric in shown
    ]


def find_metric(look: Look, name: str, candidate: str) -> Metric | None:
    """What the look says of the metric."""
    return next((m for m in look.results.metrics if (m.name, m.candidate) == (name, candidate)), None)


def spread(count: int, most: int) -> list[int]:
    """`most` places at most of `count`, evenly from the first to the last."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def choose_scale(metrics: Sequence[Metric]) -> Scale:
    """From the later half of the looks, and no effect: the first intervals are wider than anything later."""
    later = metrics[len(metrics) // 2 :]
    ends = [
        value for metric in later for value in (metric.effect, metric.low, metric.high) if value is not None
    ]
    values = [*ends, metrics[-1].no_effect]
    low, high = min(values), max(values)
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return Scale(low - margin, high + margin)


def _draw(metric: Metric, scale: Scale) -> str:
    """├──●──┤ on a line with | where there is no effect; < and > where the band goes on beyond the ends."""
    line = [" "] * WIDTH
    low = -1 if metric.low is None else scale.place(metric.low)
    high = WIDTH if metric.high is None else scale.place(metric.high)
    for place in range(max(low, 0), min(high, WIDTH - 1) + 1):
        line[place] = "─"
    for place, mark in ((scale.place(metric.no_effect), "|"), (low, "├"), (high, "┤")):
        if 0 <= place < WIDTH:
            line[place] = mark
    if low < 0:
        line[0] = "<"
    if high >= WIDTH:
        line[-1] = ">"
    if metric.effect is not None and 0 <= (place := scale.place(metric.effect)) < WIDTH:
        line[place] = "●"
    return "".join(line)

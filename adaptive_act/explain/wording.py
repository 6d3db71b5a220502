"""A layer's shape in words, each derived from a number."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.layers import Layer
from adaptive_act.explain.reach import Reach
from adaptive_act.explain.shape import NEAR, Pattern, Shape, Side

ChannelIndices = NDArray[np.int64]


def explain_layer(layer: Layer) -> str:
    """What the activation does where its inputs lie, how far it is from its start, and what reached it."""
    sentences = (
        []
        if layer.elementwise
        else ["This is the response to a constant map, since the layer depends on more than one input."]
    )
    shape, reach = layer.shape, layer.reach
    ends = np.array([side.far for side in (shape.left, shape.right) if side] + [0.0])
    sides = [_describe_side(shape, "below"), _describe_side(shape, "above"), _describe_falls(shape)]
    sentences.append(f"From {format_range(ends)}: {'; '.join(sides)}.")
    sentences.append(_describe_displacement(layer))
    if reach is not None:
        sentences.append(_describe_inputs(reach))
    return " ".join(sentences)


def format_range(values: Numbers, form: str = ".3g") -> str:
    """The value, or the range over the channels, in three digits."""
    low, high = (f"{number + 0.0:{form}}".replace("-", "−") for number in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def format_share(part: float) -> str:
    """A part of a whole in per cent, never rounded to none or to all."""
    if 0 < part < 0.001:
        return "< 0.1 %"
    if 0.999 < part < 1:
        return "> 99.9 %"
    return format_percent(part)


def format_percent(ratio: float) -> str:
    """A ratio, which may be above 1, in per cent."""
    return f"{100 * ratio:.1f} %" if 0 < ratio < 0.1 else f"{100 * ratio:.0f} %"


def _describe_side(shape: Shape, where: str) -> str:
    """What most channels do on one side of zero, and how many do otherwise."""
    side = shape.left if where == "below" else shape.right
    if side is None:
        return f"no inputs lie {where} 0"
    groups = Counter(side.patterns).most_common()
    parts = []
    for pattern, count in groups:
        chosen = np.array([place for place, actual in enumerate(side.patterns) if actual == pattern])
        of = f" in {count} of {shape.channels} channels" if len(groups) > 1 else ""
        parts.append(f"{_DESCRIPTIONS[pattern](shape, side, chosen)}{of}")
    upwards = int((side.highest > side.negligible).sum()) if where == "below" else 0
    bends = f" ({_count_channels(upwards, shape.channels, 'bend')} upwards)" if upwards else ""
    return f"{where} 0 it {', '.join(parts)}{bends}"


def _describe_line(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    slopes = side.slope[chosen]
    if np.abs(slopes - 1).max() < 5e-3 and np.abs(shape.at_zero[chosen]).max() < side.negligible:
        return "passes inputs unchanged"
    return f"passes inputs with slope {format_range(slopes)}"


def _describe_level(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    return f"levels off at {format_range(np.round(side.end[chosen], 2))}{_describe_turn(shape, side, chosen)}"


def _describe_bent(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    at_zero = shape.slopes[int(side.far > 0)][chosen]
    near, far = (format_range(np.round(slopes, 3)) for slopes in (at_zero, side.slope[chosen]))
    turn = _describe_turn(shape, side, chosen)
    return f"bends from slope {near} at 0 to slope {far} at the end{turn}"


_DESCRIPTIONS: dict[Pattern, Callable[[Shape, Side, ChannelIndices], str]] = {
    "blocked": lambda _shape, _side, _chosen: "lets nothing pass",
    "line": _describe_line,
    "level": _describe_level,
    "bent": _describe_bent,
    "broken": lambda _shape, _side, _chosen: "gives values that are not finite",
}


def _describe_turn(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    """The dip or bump beyond both ends of the side, where most of the channels have one."""
    ends = side.end[chosen] - shape.at_zero[chosen]
    dips = side.lowest[chosen] < np.minimum(ends, 0) - side.negligible
    bumps = side.highest[chosen] > np.maximum(ends, 0) + side.negligible
    if 2 * dips.sum() > len(chosen):
        at, depth = side.lowest_at[chosen][dips], (side.lowest + shape.at_zero)[chosen][dips]
        return f" after a dip to {format_range(depth, '.2f')} at x = {format_range(at, '.2f')}"
    if 2 * bumps.sum() > len(chosen):
        at, height = side.highest_at[chosen][bumps], (side.highest + shape.at_zero)[chosen][bumps]
        return f" after a bump to {format_range(height, '.2f')} at x = {format_range(at, '.2f')}"
    return ""


def _describe_falls(shape: Shape) -> str:
    falling = int((~shape.rising).sum())
    return f"{_count_channels(falling, shape.channels, 'fall')} somewhere" if falling else "it never falls"


def _describe_displacement(layer: Layer) -> str:
    change, where = layer.moved, "on these inputs" if layer.reach else f"from −{NEAR:g} to {NEAR:g}"
    if change.most <= 1e-6:
        return f"It stands at {layer.origin}, where it started."
    of = "" if change.share is None else f" ({format_percent(change.share)} of the start's mean size)"
    at = format_range(np.array([change.at]), ".2g")
    return (
        f"It differs from {layer.origin} by {change.mean:.2g} on average {where}{of}, "
        f"and by {change.most:.2g} at most, at x = {at}."
    )


def _describe_inputs(seen: Reach) -> str:
    quartiles = [format_range(np.array([seen.quantile(part)]), ".2g") for part in (0.25, 0.75)]
    lost = int(seen.non_finite.sum())
    broken = f" {lost} inputs were infinite or not a number." if lost else ""
    return (
        f"Of {int(seen.total.sum()):,} inputs {format_share(seen.share_below_zero)} were below 0 and "
        f"{format_share(seen.share_beyond)} beyond ±{seen.limit:g}; half lay between {quartiles[0]} and "
        f"{quartiles[1]}.{broken}"
    )


def _count_channels(count: int, of: int, does: str) -> str:
    return f"it {does}s" if of == 1 else f"{count} of {of} channels {does}"

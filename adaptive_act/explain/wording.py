"""A layer's shape in words, each derived from a number."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list, join_sentences
from adaptact.languages.spoken import say
from adaptive_act.explain.arrays import Numbers
from adaptive_act.explain.layers import Layer
from adaptive_act.explain.reach import Reach
from adaptive_act.explain.shape import NEAR, Pattern, Shape, Side

ChannelIndices = NDArray[np.int64]

SIDES = (
    (mark("no inputs lie below 0"), mark("below 0 it {does}")),
    (mark("no inputs lie above 0"), mark("above 0 it {does}")),
)
"""For the sides below and above zero: where nothing lies, and what the curve does."""


def explain_layer(layer: Layer) -> str:
    """What the activation does where its inputs lie, how far it is from its start, and what reached it."""
    shape, reach = layer.shape, layer.reach
    ends = np.array([side.far for side in (shape.left, shape.right) if side] + [0.0])
    sides = [_describe_side(shape, place) for place in (0, 1)]
    below, above = sides
    sentences = [
        say(
            "From {range}: {below}; {above}; {falls}.",
            range=format_range(ends),
            below=below,
            above=above,
            falls=_describe_falls(shape),
        ),
        _describe_displacement(layer),
    ]
    if not layer.elementwise:
        constant = say(
            "This is the response to a constant map, since the layer depends on more than one input."
        )
        sentences.insert(0, constant)
    if reach is not None:
        sentences += _describe_inputs(reach)
    return join_sentences(sentences)


def format_range(values: Numbers, form: str = ".3g") -> str:
    """The value, or the range over the channels, in three digits."""
    low, high = (f"{number + 0.0:{form}}".replace("-", "−") for number in (values.min(), values.max()))
    return low if low == high else say("{low} to {high}", low=low, high=high)


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


def _describe_side(shape: Shape, place: int) -> str:
    """What most channels do on one side of zero, and how many do otherwise."""
    side = (shape.left, shape.right)[place]
    nothing, something = SIDES[place]
    if side is None:
        return say(nothing)
    groups = Counter(side.patterns).most_common()
    parts = []
    for pattern, count in groups:
        chosen = np.array([channel for channel, actual in enumerate(side.patterns) if actual == pattern])
        does = _DESCRIPTIONS[pattern](shape, side, chosen)
        if len(groups) > 1:
            does = say(
                "{does} in {count} of {channels} channels", does=does, count=count, channels=shape.channels
            )
        parts.append(does)
    upwards = int((side.highest > side.negligible).sum()) if place == 0 else 0
    return say(something, does=_add_bends(join_list(parts), upwards, shape.channels))


def _add_bends(does: str, upwards: int, channels: int) -> str:
    if not upwards:
        return does
    if channels == 1:
        return say("{does} (it bends upwards)", does=does)
    return say(
        "{does} ({count} of {channels} channels bend upwards)", does=does, count=upwards, channels=channels
    )


def _describe_line(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    slopes = side.slope[chosen]
    if np.abs(slopes - 1).max() < 5e-3 and np.abs(shape.at_zero[chosen]).max() < side.negligible:
        return say("passes inputs unchanged")
    return say("passes inputs with slope {slopes}", slopes=format_range(slopes))


def _describe_level(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    level = say("levels off at {level}", level=format_range(np.round(side.end[chosen], 2)))
    return _add_turn(level, shape, side, chosen)


def _describe_bent(shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    at_zero = shape.slopes[int(side.far > 0)][chosen]
    near, far = (format_range(np.round(slopes, 3)) for slopes in (at_zero, side.slope[chosen]))
    bent = say("bends from slope {near} at 0 to slope {far} at the end", near=near, far=far)
    return _add_turn(bent, shape, side, chosen)


_DESCRIPTIONS: dict[Pattern, Callable[[Shape, Side, ChannelIndices], str]] = {
    "blocked": lambda _shape, _side, _chosen: say("lets nothing pass"),
    "line": _describe_line,
    "level": _describe_level,
    "bent": _describe_bent,
    "broken": lambda _shape, _side, _chosen: say("gives values that are not finite"),
}


def _add_turn(does: str, shape: Shape, side: Side, chosen: ChannelIndices) -> str:
    """The dip or bump beyond both ends of the side, where most of the channels have one."""
    ends = side.end[chosen] - shape.at_zero[chosen]
    dips = side.lowest[chosen] < np.minimum(ends, 0) - side.negligible
    bumps = side.highest[chosen] > np.maximum(ends, 0) + side.negligible
    if 2 * dips.sum() > len(chosen):
        depth = format_range((side.lowest + shape.at_zero)[chosen][dips], ".2f")
        at = format_range(side.lowest_at[chosen][dips], ".2f")
        return say("{does} after a dip to {depth} at x = {at}", does=does, depth=depth, at=at)
    if 2 * bumps.sum() > len(chosen):
        height = format_range((side.highest + shape.at_zero)[chosen][bumps], ".2f")
        at = format_range(side.highest_at[chosen][bumps], ".2f")
        return say("{does} after a bump to {height} at x = {at}", does=does, height=height, at=at)
    return does


def _describe_falls(shape: Shape) -> str:
    falling = int((~shape.rising).sum())
    if not falling:
        return say("it never falls")
    if shape.channels == 1:
        return say("it falls somewhere")
    return say("{count} of {channels} channels fall somewhere", count=falling, channels=shape.channels)


def _describe_displacement(layer: Layer) -> str:
    change, origin = layer.moved, tell_origin(layer.origin)
    if change.most <= 1e-6:
        return say("It stands at {origin}, where it started.", origin=origin)
    where = say("on these inputs") if layer.reach else say("from −{near} to {near}", near=f"{NEAR:g}")
    if change.share is not None:
        size = format_percent(change.share)
        where = say("{where} ({share} of the start's mean size)", where=where, share=size)
    return say(
        "It differs from {origin} by {mean} on average {where}, and by {most} at most, at x = {at}.",
        origin=origin,
        mean=f"{change.mean:.2g}",
        where=where,
        most=f"{change.most:.2g}",
        at=format_range(np.array([change.at]), ".2g"),
    )


def tell_origin(origin: str) -> str:
    """Where a layer started, as its record says it, in the language that is spoken."""
    plain = origin.removeprefix("the fixed point at ")
    return say("its initial values") if plain == origin else say("the fixed point at {plain}", plain=plain)


def _describe_inputs(seen: Reach) -> list[str]:
    low, high = (format_range(np.array([seen.quantile(part)]), ".2g") for part in (0.25, 0.75))
    lost = int(seen.non_finite.sum())
    sentences = [
        say(
            "Of {total} inputs {below} were below 0 and {beyond} beyond ±{limit}; half lay between {low} and "
            "{high}.",
            total=f"{int(seen.total.sum()):,}",
            below=format_share(seen.share_below_zero),
            beyond=format_share(seen.share_beyond),
            limit=f"{seen.limit:g}",
            low=low,
            high=high,
        )
    ]
    if lost:
        sentences.append(say("{count} inputs were infinite or not a number.", count=lost))
    return sentences

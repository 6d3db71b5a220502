"""The files from float32 to int8 that were tried, as text and as a drawing of loss over time."""

from adaptact.languages.catalogue import mark
from adaptact.languages.spoken import say, say_all, say_count
from adaptact.report.scatter import Axis, Scatter, Spot, draw_scatter
from convert.evidence.tables import NOTHING, TextTable
from convert.manifest.front import MOST_POINTS, FrontPointRecord, FrontRecord

_RULES = {
    "fastest": mark("the fastest file that keeps the budgets"),
    "knee": mark("the knee"),
}
_LEGEND = (
    ("filled", mark("keeps the budgets")),
    ("hollow", mark("beyond the budgets")),
    ("cross", mark("beaten by another")),
    ("ring", mark("chosen")),
    ("diamond", mark("knee")),
)


def tabulate_front(record: FrontRecord) -> TextTable:
    """A row for each file, with what it takes and loses, and what was found of it."""
    header = say_all(
        "in int8",
        "time / float32's",
        "one run",
        "error / scale",
        "largest",
        "agreement",
        "accuracy drop",
        "finding",
    )
    return TextTable(header, [_list_cells(record, place) for place in range(len(_get_points(record)))])


def _get_points(record: FrontRecord) -> tuple[FrontPointRecord, ...]:
    return record.points[:MOST_POINTS]


def _list_cells(record: FrontRecord, place: int) -> tuple[str, ...]:
    point = record.points[place]
    interval = f"{point.ratio:.2f}"
    if point.places:
        interval += f" ({point.low:.2f} – {point.high:.2f})"
    return (
        _count_places(point) if point.places else "float32",
        interval,
        ", ".join(f"{microseconds:,.4g} µs" for microseconds in point.microseconds) or NOTHING,
        f"{point.error:.2%}",
        f"{point.largest:.2%}",
        NOTHING if point.agreement is None else f"{point.agreement:.2%}",
        _format_drop(point),
        ", ".join(_list_findings(record, place)),
    )


def _count_places(point: FrontPointRecord) -> str:
    return say_count("{number} place", "{number} places", point.places)


def _format_drop(point: FrontPointRecord) -> str:
    if point.drop is None or point.drop_low is None or point.drop_high is None:
        return NOTHING
    return f"{point.drop:.2%} ({point.drop_low:.2%} – {point.drop_high:.2%})"


def _list_findings(record: FrontRecord, place: int) -> list[str]:
    point = record.points[place]
    findings = {
        say("chosen"): place == record.chosen,
        say("knee"): place == record.knee,
        say("beyond the budgets"): not point.passes,
        say("beaten by another"): not point.is_best,
    }
    return [finding for finding, holds in findings.items() if holds]


def describe_front(record: FrontRecord) -> str:
    """What was chosen of how many files, and what it takes, in a line."""
    rule = say(_RULES.get(record.rule, record.rule))
    if not 0 <= record.chosen < len(record.points):
        return rule
    point = record.points[record.chosen]
    line = say(
        "{rule}, of {count} tried in {seconds} s: {places} of {all} places in int8, {ratio} of float32's "
        "time, error {error} of the scale",
        rule=rule,
        count=len(record.points) - 1,
        seconds=f"{record.spent:.0f}",
        places=point.places,
        all=record.points[-1].places,
        ratio=f"{point.ratio:.2f}",
        error=f"{point.error:.2%}",
    )
    return line + (say("; it is NOT faster than float32 here") if point.low >= 1 else "")


def draw_front(record: FrontRecord, allowed: float) -> Scatter | None:
    """Loss over time of the files; None where there are none. `allowed` is the drop of accuracy."""
    points = _get_points(record)
    if not points:
        return None
    best = sorted((point.ratio, place) for place, point in enumerate(points) if point.is_best)
    caption = say(
        "Time and loss of {count} files, from float32 to int8 at every place; {provider}, {threads}, "
        "{processor}. The line joins the files that no other beats in both; the knee is the one farthest "
        "below the straight line between its ends.",
        count=len(points),
        provider=record.provider,
        threads=say_count("{number} thread", "{number} threads", record.threads),
        processor=record.processor,
    )
    loss = mark("drop of accuracy") if record.by_accuracy else mark("error, root mean square / scale")
    return draw_scatter(
        caption,
        [_make_spot(record, place) for place in range(len(points))],
        (
            Axis(say("time / float32's"), lambda ratio: f"{ratio:g}"),
            Axis(say(loss), _show_share),
        ),
        joined=[place for _, place in best],
        limit=(allowed, say("allowed: {share}", share=_show_share(allowed))) if record.by_accuracy else None,
        legend=[(sign, say(meaning)) for sign, meaning in _LEGEND],
    )


def _show_share(share: float) -> str:
    return f"{100 * share:g} %".replace("-", "−")


def _make_spot(record: FrontRecord, place: int) -> Spot:
    point = record.points[place]
    drop = point.drop if record.by_accuracy else None
    low, high = point.drop_low, point.drop_high
    is_chosen, is_knee = place == record.chosen, place == record.knee
    return Spot(
        point.ratio,
        point.error if drop is None else drop,
        "cross" if not point.is_best else "filled" if point.passes else "hollow",
        x_interval=(point.low, point.high),
        y_interval=None if drop is None or low is None or high is None else (low, high),
        has_ring=is_chosen,
        has_diamond=is_knee,
        above=say("chosen: {places} in int8", places=_count_places(point)) if is_chosen else "",
        below=say("knee") if is_knee else "" if point.places else "float32",
    )

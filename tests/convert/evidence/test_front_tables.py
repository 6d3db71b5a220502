import json
from dataclasses import asdict, replace

import pytest

from adaptact.languages.spoken import speak
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Section, Table
from convert.evidence.front_tables import describe_front, draw_front, tabulate_front
from convert.manifest.decode import decode
from convert.manifest.front import FrontPointRecord, FrontRecord

EXACT = FrontPointRecord(
    0, 1.0, 1.0, 1.0, (120.0,), 1e-7, 3e-7, 1.0, 0.0, -0.01, 0.01, passes=True, is_best=True
)
FEW = replace(EXACT, places=2, ratio=0.6, low=0.59, high=0.61, error=0.001, largest=0.004)
MOST = replace(
    FEW, places=5, ratio=0.5, low=0.49, high=0.52, error=0.02, largest=0.09, drop=0.05, passes=False
)
FRONT = FrontRecord(
    *("fastest", False, "cpu", 2, (1,), "EPYC", 60.0, 12.3, 5),
    (EXACT, FEW, MOST),
    knee=1,
    chosen=1,
)


def test_the_line_says_what_was_chosen_and_what_it_takes() -> None:
    assert describe_front(FRONT) == (
        "the fastest file that keeps the budgets, of 2 tried in 12 s: 2 of 5 places in int8, "
        "0.60 of float32's time, error 0.10% of the scale"
    )


def test_a_file_that_is_no_faster_is_said_to_be_so() -> None:
    slow = replace(FRONT, points=(EXACT, replace(FEW, ratio=1.2, low=1.1, high=1.3)))
    assert describe_front(slow).endswith("; it is NOT faster than float32 here")


def test_the_table_has_a_row_for_each_file() -> None:
    rows = tabulate_front(FRONT).rows
    assert [(row[0], row[-1]) for row in rows] == [
        ("float32", ""),
        ("2 places", "chosen, knee"),
        ("5 places", "beyond the budgets"),
    ]
    assert [row[1] for row in rows] == ["1.00", "0.60 (0.59 – 0.61)", "0.50 (0.49 – 0.52)"]


def test_the_picture_marks_the_choice_and_the_knee_in_words_too() -> None:
    scatter = draw_front(FRONT, 0.005)
    assert scatter is not None
    assert [(spot.shape, spot.has_ring, spot.has_diamond) for spot in scatter.spots] == [
        ("filled", False, False),
        ("filled", True, True),
        ("hollow", False, False),
    ]
    assert (scatter.spots[1].above, scatter.spots[1].below) == ("chosen: 2 places in int8", "knee")
    assert scatter.limit is None
    by_accuracy = draw_front(replace(FRONT, by_accuracy=True), 0.005)
    assert by_accuracy is not None
    assert by_accuracy.limit_name == "allowed: 0.5 %"
    assert by_accuracy.spots[2].y < by_accuracy.limit  # type: ignore[operator]  # higher is more of it


def test_a_record_is_read_again() -> None:
    assert decode(FrontRecord, json.loads(json.dumps(asdict(FRONT))), "front") == FRONT


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(
    "record",
    [
        replace(FRONT, points=()),
        replace(FRONT, points=(EXACT,), chosen=99, knee=-5),
        replace(FRONT, points=(replace(EXACT, ratio=-1e299, low=1e299, error=-1e299),) * 3),
        replace(FRONT, points=(FEW,) * 100_000, chosen=70_000, rule="<script>", processor="<b>"),
        replace(FRONT, by_accuracy=True, points=(replace(FEW, drop=None), replace(FEW, drop_low=None))),
    ],
)
def test_a_hostile_record_is_shown_within_bounds(record: FrontRecord, language: str) -> None:
    with speak(language):  # type: ignore[arg-type]
        scatter = draw_front(record, 0.005)
        parts: list[Part] = [Table(*tabulate_front(record)), *([] if scatter is None else [scatter])]
        page = render_html(describe_front(record), [Section("front", parts)])
    assert len(page) < 60_000
    assert "<script" not in page

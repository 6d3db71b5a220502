from dataclasses import replace
from pathlib import Path

import pytest

from serve.sources.metrics import SourceCollector, is_up
from serve.sources.status import SourceStatus
from tests.serve.sources.doubles import Mirrored


def series(folder: Path) -> dict[str, float]:
    families = SourceCollector(folder).collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_the_series_are_those_of_the_last_look(mirrored: Mirrored) -> None:
    assert series(mirrored.folder) == {
        "adaptact_source_up": 0,
        "adaptact_source_last_success_timestamp_seconds": 0,
        "adaptact_source_refused": 0,
        "adaptact_source_bytes_total": 0,
    }
    mirrored.source.files["digits/3/MODEL.onnx"] = mirrored.source.files["digits/3/model.onnx"] = b"x"
    status = mirrored.synchronise()
    assert series(mirrored.folder) == {
        "adaptact_source_up": 1,
        "adaptact_source_last_success_timestamp_seconds": status.succeeded,
        "adaptact_source_refused": 1,
        "adaptact_source_bytes_total": 12,
    }


@pytest.mark.parametrize(("age", "expected"), [(0, True), (779, True), (781, False), (-(10**6), False)])
def test_a_source_that_was_not_asked_for_long_is_away(age: float, expected: bool) -> None:
    status = SourceStatus(is_up=True, checked=1e9, interval_seconds=60)
    assert is_up(status, 1e9 + age) is expected
    assert not is_up(replace(status, is_up=False), 1e9)

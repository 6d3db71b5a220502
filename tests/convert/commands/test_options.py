import pytest

from convert.commands.options import parse_front, parse_tolerances, parse_tuning
from convert.errors import UsageError
from convert.precision.front.options import FrontOptions
from convert.tuning.tune import SECONDS, TuningOptions


def test_options_of_tuning_are_read() -> None:
    assert parse_tuning(True, "cpu", None, None, None, cached=True) == TuningOptions(seconds=SECONDS)
    options = parse_tuning(True, "cpu", 2, "1, 16", 5.0, cached=False)
    assert options == TuningOptions(threads=2, batches=(1, 16), seconds=5.0, cached=False)
    assert parse_tuning(False, "cuda", None, None, None, cached=True) is None


@pytest.mark.parametrize(
    ("threads", "batch", "seconds", "cached", "named"),
    [
        (1, None, None, True, "--threads"),
        (None, "1", None, True, "--batch"),
        (None, None, 1.0, True, "--tune-seconds"),
        (None, None, None, False, "--no-tune-cache"),
    ],
)
def test_tuning_options_need_tune(
    threads: int | None, batch: str | None, seconds: float | None, cached: bool, named: str
) -> None:
    with pytest.raises(UsageError, match=named) as exc_info:
        parse_tuning(False, "cpu", threads, batch, seconds, cached=cached)
    assert exc_info.value.hint == "add --tune"


@pytest.mark.parametrize("batch", ["", "1,", "-1", "1.5", "²", "1" * 50])
def test_batches_are_whole_numbers(batch: str) -> None:
    with pytest.raises(UsageError, match="expected numbers such as"):
        parse_tuning(True, "cpu", None, batch, None, cached=True)


def test_a_tolerance_is_named_once() -> None:
    assert parse_tolerances(["a=0.1", "b=0.2"]) == {"a": 0.1, "b": 0.2}
    assert parse_tolerances(None) == {}
    with pytest.raises(UsageError, match="`a` twice"):
        parse_tolerances(["a=0.1", "b=0.2", "a=0.3"])


def test_a_front_has_a_target_of_its_own() -> None:
    assert parse_front(None, None, "cpu", 2, "1") is None
    target = TuningOptions(threads=2, batches=(1, 8))
    assert parse_front("knee", 5.0, "cpu", 2, "1,8") == FrontOptions("knee", target, 5.0)
    with pytest.raises(UsageError, match="`--front-seconds` is the time for a front") as exc_info:
        parse_front(None, 5.0, "cpu", None, None)
    assert exc_info.value.hint == "add --front fastest"
    with pytest.raises(UsageError, match="`--front-seconds` is 0, expected above 0"):
        parse_front("fastest", 0.0, "cpu", None, None)
    with pytest.raises(UsageError, match="`--threads` is 0"):
        parse_front("fastest", None, "cpu", 0, None)

import io

import pytest
from rich.console import Console

from convert.commands.options import json_object, tolerances, tuning
from convert.commands.progress import Progress
from convert.errors import UsageError
from convert.tuning.tune import SECONDS, Tuning


def test_tuning_is_what_the_options_say() -> None:
    assert tuning(True, "cpu", None, None, None, cached=True) == Tuning(seconds=SECONDS)
    found = tuning(True, "cpu", 2, "1, 16", 5.0, cached=False)
    assert found == Tuning(threads=2, batches=(1, 16), seconds=5.0, cached=False)
    assert tuning(False, "cuda", None, None, None, cached=True) is None


@pytest.mark.parametrize(
    ("threads", "batch", "seconds", "cached", "named"),
    [
        (1, None, None, True, "--threads"),
        (None, "1", None, True, "--batch"),
        (None, None, 1.0, True, "--tune-seconds"),
        (None, None, None, False, "--no-tune-cache"),
    ],
)
def test_how_to_tune_without_tuning_is_wrong_use(
    threads: int | None, batch: str | None, seconds: float | None, cached: bool, named: str
) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        tuning(False, "cpu", threads, batch, seconds, cached=cached)
    assert refused.value.hint == "add --tune"


@pytest.mark.parametrize("batch", ["", "1,", "-1", "1.5", "²", "1" * 50])
def test_a_batch_is_whole_numbers(batch: str) -> None:
    with pytest.raises(UsageError, match="expected numbers such as"):
        tuning(True, "cpu", None, batch, None, cached=True)


def test_arguments_of_a_factory_are_a_json_object() -> None:
    assert json_object('{"a": 1}') == {"a": 1}
    assert json_object(None) is None
    with pytest.raises(UsageError, match="`list`"):
        json_object("[]")


def test_a_tolerance_is_named_once() -> None:
    assert tolerances(["a=0.1", "b=0.2"]) == {"a": 0.1, "b": 0.2}
    assert tolerances(None) == {}
    with pytest.raises(UsageError, match="`a` twice"):
        tolerances(["a=0.1", "b=0.2", "a=0.3"])


def test_every_stage_leaves_its_line_and_tuning_has_a_bar() -> None:
    shown = io.StringIO()
    progress = Progress(Console(file=shown, force_terminal=True, width=100), tune_seconds=60.0)
    for stage in ("load", "tune", "write"):
        progress.started(stage)
        progress.told(f"what {stage} is at")
    progress.finished()
    assert "what tune is at" in shown.getvalue()
    assert [stage for stage in ("load  ", "tune  ", "write  ") if stage not in shown.getvalue()] == []

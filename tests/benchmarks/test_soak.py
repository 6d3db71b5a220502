import threading

import pytest

from benchmarks import visitors
from benchmarks.soak import Memory, summary
from benchmarks.visitors import Place, Tally, UnexpectedError, ask_without_end


def test_memory_is_averaged_over_a_tenth_of_the_run() -> None:
    assert summary([float(number) for number in range(100)]) == Memory(4.5, 49.5, 94.5)
    assert summary([7.0]) == Memory(7, 7, 7)


@pytest.mark.parametrize(("end", "steady"), [(90, True), (110, True), (111, False), (200, False)])
def test_memory_is_steady_unless_it_grows_after_the_middle(end: float, steady: bool) -> None:
    assert Memory(50, 100, end).is_steady is steady


def test_wrong_answers_are_counted_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, tally = threading.Event(), Tally()
    left = [None, UnexpectedError("another"), OSError("gone"), None]

    def ask() -> None:
        error = left.pop(0)
        if not left:
            ended.set()
        if error is not None:
            raise error

    monkeypatch.setitem(visitors.VISITORS, "JSON", lambda place: ask)
    ask_without_end("JSON", Place(0, ""), tally, ended)
    assert (tally.requests["JSON"], tally.failures["JSON"]) == (4, 2)
    assert tally.said == ["JSON: UnexpectedError: another", "JSON: OSError: gone"]

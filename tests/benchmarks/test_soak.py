import threading

import pytest

from benchmarks import soak_clients
from benchmarks.soak import Memory, summarise_memory
from benchmarks.soak_clients import ServerAddress, Tally, UnexpectedError, ask_until_ended


def test_memory_is_averaged_over_a_tenth_of_the_run() -> None:
    assert summarise_memory([float(number) for number in range(100)]) == Memory(4.5, 49.5, 94.5)
    assert summarise_memory([7.0]) == Memory(7, 7, 7)


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

    monkeypatch.setitem(soak_clients.CLIENTS, "JSON", lambda place: ask)
    ask_until_ended("JSON", ServerAddress(0, ""), tally, ended)
    assert (tally.requests["JSON"], tally.failures["JSON"]) == (4, 2)
    assert tally.messages == ["JSON: UnexpectedError: another", "JSON: OSError: gone"]

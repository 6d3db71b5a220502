"""Stalls of connections, without a server."""

from serve.rest.stalls import BYTES_PER_SECOND, StallTimer


def test_only_a_long_wait_without_progress_is_a_stall() -> None:
    watch = StallTimer(10, 30)
    one, other = object(), object()
    came = 0

    def look(waiting: str | None, request: object, now: float) -> object:
        return watch.check(waiting, request, lambda: came, now)  # type: ignore[arg-type]

    assert [look("head", one, now) for now in (0, 9, 9.9, 10)] == [None, None, None, "head"]
    assert [look("head", other, 20), look("body", other, 31), look(None, other, 42)] == [None] * 3
    assert [look("body", other, 50), look("body", other, 60)] == [None, "body"]
    came = BYTES_PER_SECOND * 20
    assert [look("body", other, 70), look("body", other, 79), look("body", other, 80)] == [None, None, "body"]
    assert look("rest", other, 81) is None
    came *= 2
    assert look("rest", other, 91) == "rest"
    assert [look("next", one, now) for now in (100, 129, 130)] == [None, None, "next"]

"""Ratios within a round, whatever drifts between rounds."""

from collections.abc import Callable

from benchmarks.turns import median_ratio, take_turns


class Clock:
    """A time that passes only in runs, which are written down."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ran: list[str] = []

    def read(self) -> float:
        return self.seconds

    def run(self, name: str, seconds: float) -> Callable[[], None]:
        def ran() -> None:
            self.seconds += seconds
            self.ran.append(name)

        return ran


def test_a_ratio_is_taken_within_each_round() -> None:
    times = {"fast": [1.0, 10.0, 100.0], "slow": [2.0, 20.0, 200.0]}
    assert median_ratio(times, "slow", "fast") == 2.0


def test_each_has_its_turn_in_every_round_back_and_forth() -> None:
    clock = Clock()
    times = take_turns({"a": clock.run("a", 1.0), "b": clock.run("b", 4.0)}, 3, 8.0, clock.read)
    assert times == {"a": [1.0] * 3, "b": [4.0] * 3}
    # Once each to warm up, then turns of eight seconds.
    assert clock.ran == [*"ab", *"aaaaaaaabb", *"bbaaaaaaaa", *"aaaaaaaabb"]

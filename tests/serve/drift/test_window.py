import numpy as np

from serve.drift.window import SLICES, SlidingWindow


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_older_than_the_window_is_forgotten() -> None:
    clock = Clock()
    window, one = SlidingWindow(2, 3, 120.0, clock), np.ones((2, 3), np.int64)
    for _ in range(30):
        window.add(one)
        clock.now += 120.0 / SLICES
    # The newest slice is empty by now.
    np.testing.assert_array_equal(window.read(), (SLICES - 1) * one)
    clock.now += 120.0
    assert not window.read().any()


def test_what_came_within_a_slice_is_added_up() -> None:
    window = SlidingWindow(1, 2, 3600.0, Clock())
    window.add(np.array([[1, 2]]))
    window.add(np.array([[10, 20]]))
    np.testing.assert_array_equal(window.read(), [[11, 22]])


def test_a_new_window_is_as_long_as_it_exists() -> None:
    clock = Clock()
    window = SlidingWindow(1, 1, 60.0, clock)
    clock.now += 10
    assert window.count_seconds() == 10
    clock.now += 1000
    assert window.count_seconds() == 60

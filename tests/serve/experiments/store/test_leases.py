"""Leases: one holder at a time, whoever asks, and another one once it has ended."""

from concurrent.futures import ThreadPoolExecutor

from serve.experiments.store.database import Store
from serve.experiments.store.leases import LEASE_SECONDS, Lease
from serve.experiments.store.tables import looks
from tests.serve.experiments.store.rows import count_rows

SECOND = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


def test_of_many_that_ask_at_once_one_holds_it(store: Store) -> None:
    clock = Clock()
    leases = [Lease(store, "looks", clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda lease: lease.hold(), leases))
    assert held.count(True) == 1
    assert [lease.hold() for lease in leases] == held
    assert Lease(store, "other work", clock).hold()


def test_a_holder_that_goes_on_keeps_it(store: Store) -> None:
    clock = Clock()
    first, second = Lease(store, "looks", clock), Lease(store, "looks", clock)
    for _ in range(10):
        assert first.hold()
        assert not second.hold()
        clock.pass_by(LEASE_SECONDS / 3)
    assert count_rows(store, looks) == 1


def test_a_holder_that_has_ended_is_followed_by_another(store: Store) -> None:
    clock = Clock()
    first, second = Lease(store, "looks", clock), Lease(store, "looks", clock)
    assert first.hold()
    clock.pass_by(LEASE_SECONDS + 1)
    assert second.hold()
    assert not first.hold()
    first.give_back()
    assert second.hold()
    second.give_back()
    assert first.hold()


def test_a_lease_from_before_a_clock_was_set_back_is_nobodys(store: Store) -> None:
    clock = Clock()
    assert Lease(store, "looks", clock).hold()
    clock.pass_by(-3600)
    second, third = Lease(store, "looks", clock), Lease(store, "looks", clock)
    assert second.hold()
    assert not third.hold()
    # But a machine whose clock is a little ahead keeps what it has.
    clock.pass_by(-30)
    assert not third.hold()

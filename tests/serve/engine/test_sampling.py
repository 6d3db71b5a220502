import pytest

from serve.engine.sampling import Sampler


def choose(sampler: Sampler, requests: int) -> int:
    return sum(sampler.choose() for _ in range(requests))


def test_all_requests_are_kept_at_low_traffic() -> None:
    sampler = Sampler(100, 60)
    for _ in range(50):
        assert choose(sampler, 5) == 5
        sampler.renew(0.1)


def test_above_the_budget_a_share_is_kept() -> None:
    sampler = Sampler(100, 60)
    for _ in range(20):
        choose(sampler, 1000)
        sampler.renew(0.1)
    kept = 0
    for _ in range(50):
        kept += choose(sampler, 1000)
        sampler.renew(0.1)
    # 500 in 5 seconds; the share follows what chance draws.
    assert 350 < kept < 700
    assert sampler.share < 0.05


def test_a_burst_does_not_flood_the_store() -> None:
    sampler = Sampler(100, 40)
    assert choose(sampler, 100_000) == 40
    sampler.renew(0.1)
    assert sampler.share == pytest.approx(0.0001)


def test_the_share_grows_back_when_traffic_ends() -> None:
    sampler = Sampler(100, 60)
    choose(sampler, 100_000)
    sampler.renew(0.1)
    for _ in range(30):
        sampler.renew(0.1)
    assert sampler.share == 1.0
    assert choose(sampler, 10) == 10


def test_whoever_counts_down_what_is_passed_over_spares_the_call() -> None:
    sampler = Sampler(100, 10**9)
    choose(sampler, 1000)
    sampler.renew(1.0)
    assert sampler.share == 0.1
    kept = 0
    for _ in range(20_000):
        if sampler.to_pass > 0:
            sampler.to_pass -= 1
        else:
            kept += sampler.choose()
    assert 1800 < kept < 2200

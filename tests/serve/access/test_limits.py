import pytest

from serve.access import limits
from serve.access.errors import ClientLimitError
from serve.access.limits import ClientLimits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_client_gets_its_rate_and_no_more(clock: Clock) -> None:
    served = ClientLimits(clock)
    taken = 0
    for step in range(1000):  # ten seconds, a hundred requests in each
        clock.now = step / 100
        try:
            served.take("a", 10)
            taken += 1
        except ClientLimitError:
            pass
    assert taken == pytest.approx(10 + 10 * 10, abs=1)  # its burst and its rate


def test_after_the_time_that_a_refusal_names_the_client_is_served(clock: Clock) -> None:
    served = ClientLimits(clock)
    served.take("a", 0.5)
    with pytest.raises(ClientLimitError) as refused:
        served.take("a", 0.5)
    clock.now += refused.value.retry_after_seconds - 0.01
    with pytest.raises(ClientLimitError):
        served.take("a", 0.5)
    clock.now += 0.02
    served.take("a", 0.5)


def test_one_client_does_not_use_up_what_another_has(clock: Clock) -> None:
    served = ClientLimits(clock)
    served.take("a", 1)
    with pytest.raises(ClientLimitError):
        served.take("a", 1)
    served.take("b", 1)


def test_without_a_limit_nothing_is_counted(clock: Clock) -> None:
    served = ClientLimits(clock)
    for _ in range(1000):
        served.take("a", 0)
    assert not served._left


def test_clients_without_number_do_not_fill_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CLIENTS", 10)
    served = ClientLimits(clock)
    for number in range(100):
        served.take(str(number), 1)
    assert list(served._left) == [str(number) for number in range(90, 100)]

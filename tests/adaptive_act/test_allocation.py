"""What would take too much memory is refused before it takes any."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adaptive_act.allocation import SMALLEST, Bounded, bytes_of

MOST = 2**20


class TooMuchError(Exception):
    """What the tests let it raise."""


def _bounded(most: int = MOST) -> Bounded:
    return Bounded(most, TooMuchError())


def _looked_at() -> list[Tensor]:
    whole = torch.zeros(1000)
    return [whole[:] for _ in range(1000)]


def _without_numbers() -> Tensor:
    return nn.Linear(10**6, 10**6, device="meta").weight.clone()


LARGE: dict[str, Callable[[], object]] = {
    "a layer": lambda: nn.Linear(10**8, 10**8),
    "filled": lambda: torch.ones(10**7, 10**7),
    "read from small ones": lambda: torch.zeros(10**4).repeat(10**12),
    "broadcast": lambda: torch.zeros(10**7, 1).expand(10**7, 10**7).contiguous(),
    "one after the other": lambda: [torch.zeros(1000) for _ in range(300)],
    "many small ones": lambda: [torch.zeros(1) for _ in range(MOST // SMALLEST + 1)],
    "grown afterwards": lambda: torch.zeros(1).resize_(MOST),
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_takes_more_is_refused(kind: str) -> None:
    with pytest.raises(TooMuchError), _bounded():
        LARGE[kind]()


SMALL: dict[str, Callable[[], object]] = {
    "freed again": lambda: [torch.zeros(1000).sum().item() for _ in range(1000)],
    "views of one": _looked_at,
    "without numbers": _without_numbers,
    "sizes that depend on numbers": lambda: torch.ones(100).nonzero(),
    "numbers for Python": lambda: [rate.item() for rate in torch.linspace(0, 0.1, 12)],
    "a program that is traced": lambda: torch.export.export(nn.Linear(3, 4), (torch.zeros(1, 3),)),
    "in place": lambda: [whole.add_(1) for whole in [torch.zeros(MOST // 8)] for _ in range(100)],
}


@pytest.mark.parametrize("kind", SMALL)
def test_what_takes_less_is_left_to_it(kind: str) -> None:
    with _bounded():
        SMALL[kind]()


def test_a_layer_is_the_same_within() -> None:
    torch.manual_seed(0)
    expected = nn.Linear(8, 8)
    torch.manual_seed(0)
    with _bounded():
        found = nn.Linear(8, 8)
    assert torch.equal(found.weight, expected.weight)


def test_tensors_that_look_at_the_same_numbers_take_them_once() -> None:
    whole = torch.zeros(4096)
    assert bytes_of([whole, whole[:10], whole.expand(10**6, 4096)]) == 4 * 4096
    assert bytes_of([torch.zeros(1)]) == SMALLEST

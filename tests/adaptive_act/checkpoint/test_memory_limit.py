"""Tensors within the limit take no more than it allows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adaptive_act.checkpoint.memory_limit import LEAST_BYTES, MemoryLimit, count_bytes

MOST = 2**20


class TooMuchError(Exception):
    """What the tests let it raise."""


def limit(most: int = MOST) -> MemoryLimit:
    return MemoryLimit(most, TooMuchError())


def make_views() -> list[Tensor]:
    whole = torch.zeros(1000)
    return [whole[:] for _ in range(1000)]


def make_meta() -> Tensor:
    return nn.Linear(10**6, 10**6, device="meta").weight.clone()


LARGE: dict[str, Callable[[], object]] = {
    "a layer": lambda: nn.Linear(10**8, 10**8),
    "filled": lambda: torch.ones(10**7, 10**7),
    "read from small ones": lambda: torch.zeros(10**4).repeat(10**12),
    "broadcast": lambda: torch.zeros(10**7, 1).expand(10**7, 10**7).contiguous(),
    "one after the other": lambda: [torch.zeros(1000) for _ in range(300)],
    "many small ones": lambda: [torch.zeros(1) for _ in range(MOST // LEAST_BYTES + 1)],
    "grown afterwards": lambda: torch.zeros(1).resize_(MOST),
}


@pytest.mark.parametrize("kind", LARGE)
def test_more_is_refused(kind: str) -> None:
    with pytest.raises(TooMuchError), limit():
        LARGE[kind]()


SMALL: dict[str, Callable[[], object]] = {
    "freed again": lambda: [torch.zeros(1000).sum().item() for _ in range(1000)],
    "views of one": make_views,
    "without numbers": make_meta,
    "sizes that depend on numbers": lambda: torch.ones(100).nonzero(),
    "numbers for Python": lambda: [rate.item() for rate in torch.linspace(0, 0.1, 12)],
    "a program that is traced": lambda: torch.export.export(nn.Linear(3, 4), (torch.zeros(1, 3),)),
    "in place": lambda: [whole.add_(1) for whole in [torch.zeros(MOST // 8)] for _ in range(100)],
}


@pytest.mark.parametrize("kind", SMALL)
def test_less_is_allowed(kind: str) -> None:
    with limit():
        SMALL[kind]()


def test_a_layer_is_the_same_within_the_limit() -> None:
    torch.manual_seed(0)
    expected = nn.Linear(8, 8)
    torch.manual_seed(0)
    with limit():
        found = nn.Linear(8, 8)
    assert torch.equal(found.weight, expected.weight)


def test_shared_storage_counts_once() -> None:
    whole = torch.zeros(4096)
    assert count_bytes([whole, whole[:10], whole.expand(10**6, 4096)]) == 4 * 4096
    assert count_bytes([torch.zeros(1)]) == LEAST_BYTES

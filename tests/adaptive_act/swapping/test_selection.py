"""Which layers a swap takes: by name, by count, and none in a dry run."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import MPELU, PELU, PReLU, SwapError, Swish, named_activations, swap
from tests.adaptive_act import models

VECTOR = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))


def seeded(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def test_several_patterns_choose_layers() -> None:
    wanted = {nn.ReLU: PReLU, nn.ELU: PELU, nn.SiLU: Swish}
    done = swap(seeded(models.Modules), wanted, where=["head.*", "features.1"])
    assert [site.layer for site in done.report.changed] == ["features.1", "head.2"]


class Backwards(nn.Module):
    """Its modules run in another order than they are registered in."""

    def __init__(self) -> None:
        super().__init__()
        self.late, self.early, self.never = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.late(F.relu(self.early(x) - 0.5) - 0.1)  # type: ignore[no-any-return]  # Module calls are Any


@pytest.mark.parametrize(
    ("count", "layers"),
    [({"first": 2}, ["early", "relu"]), ({"last": 1}, ["late"]), ({"last": 9}, ["early", "relu", "late"])],
)
def test_layers_are_counted_as_the_forward_meets_them(count: dict[str, int], layers: list[str]) -> None:
    report = swap(Backwards(), {nn.ReLU: PReLU}, example=VECTOR, **count).report  # type: ignore[arg-type]
    assert [site.layer for site in report.changed] == layers
    (idle,) = report.skipped
    assert (idle.layer, idle.reason) == ("never", "it did not run on the example")


def test_a_count_needs_an_example_and_is_one_of_two() -> None:
    with pytest.raises(SwapError, match="pass `example=`"):
        swap(Backwards(), {nn.ReLU: PReLU}, last=1)
    for wrong in ({"first": 1, "last": 1}, {"first": 0}):
        with pytest.raises(ValueError, match="expected `first` or `last` layers, at least 1"):
            swap(Backwards(), {nn.ReLU: PReLU}, example=VECTOR, **wrong)  # type: ignore[arg-type]


def test_a_dry_run_changes_nothing() -> None:
    model = nn.Sequential(seeded(models.Functional), nn.RNN(4, 4, nonlinearity="relu"))
    wanted: dict[type[nn.Module], Any] = {nn.ReLU: PReLU, nn.ELU: MPELU}
    dry, real = swap(model, wanted, dry_run=True), swap(model, wanted)
    assert dry.model is model
    assert not named_activations(model)
    assert dry.report.changed == real.report.changed
    assert dry.report.skipped == real.report.skipped
    assert dry.report.parameters_added == real.report.parameters_added
    assert "would be swapped" in str(dry.report)
    assert "nothing was changed" in str(dry.report)


def test_a_pattern_chooses_layers() -> None:
    done = swap(seeded(models.Modules), {nn.ReLU: PReLU, nn.ELU: PELU, nn.SiLU: Swish}, where="features.*")
    assert [site.layer for site in done.report.changed] == ["features.1", "features.3"]

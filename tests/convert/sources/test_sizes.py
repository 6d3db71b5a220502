import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convert.errors import ExportError
from convert.model_io.inputs import parse_input
from convert.sources.export import export

ROWS = parse_input("x:float32[N,T,4]")


class Sized(nn.Module):
    """Code that asks for the length, or whose weights do."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.places = nn.Parameter(torch.randn(64, 4))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, 4] -> [N, T, 4]."""
        return {"cut": self.cut, "filled": self.filled, "batch": self.batch, "places": self.placed}[
            self.kind
        ](x)

    def cut(self, x: Tensor) -> Tensor:
        """At most forty."""
        return x[:, :40] if x.shape[1] > 40 else x

    def filled(self, x: Tensor) -> Tensor:
        """At least sixteen."""
        return F.pad(x, (0, 0, 0, 16 - x.shape[1])) if x.shape[1] < 16 else x

    def batch(self, x: Tensor) -> Tensor:
        """Otherwise for many."""
        return x * 2 if x.shape[0] > 100 else x

    def placed(self, x: Tensor) -> Tensor:
        """Of sixty-four at most, since there are no more places, and of three, which the kernel takes."""
        return F.avg_pool1d((x + self.places[: x.shape[1]]).mT, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut", r"`T` \(axis 1 of input `x`\): its graph would hold up to 40 only, and it takes 41 too"),
        ("filled", r"`T` \(axis 1 of input `x`\): its graph would hold from 16 only, and it takes 15 too"),
        ("batch", r"`N` \(axis 0 of input `x`\): its graph would hold up to 100 only, and it takes 101 too"),
    ],
)
def test_a_branch_on_a_free_size_is_refused(kind: str, reason: str) -> None:
    with pytest.raises(ExportError, match=reason) as refused:
        export(Sized(kind), [ROWS])
    assert "as a number" in str(refused.value.hint)


@pytest.mark.slow
def test_a_branch_on_a_fixed_size_is_exported() -> None:
    assert export(Sized("cut"), [parse_input("x:float32[N,32,4]")]).graph.outputs


@pytest.mark.slow
def test_a_limit_of_the_model_itself_is_accepted() -> None:
    assert export(Sized("places"), [ROWS]).graph.outputs

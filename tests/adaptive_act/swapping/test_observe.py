"""The channels of an activation lie where the layer before it puts its features."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import PReLU, SwapError, named_activations, swap


class Around(nn.Module):
    """A layer, what happens to its output, and an activation."""

    def __init__(self, layer: nn.Module, between: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.layer, self.between, self.act = layer, between, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return self.act(self.between(y[0] if isinstance(y, tuple) else y))  # type: ignore[no-any-return]


def transposed(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def doubled(x: Tensor) -> Tensor:
    return torch.cat([x, x], 1)


VECTOR, SEQUENCE, IMAGE = torch.randn(3, 6), torch.randn(3, 7, 6), torch.randn(3, 6, 8, 8)


@pytest.mark.parametrize(
    ("model", "x", "channels", "axis"),
    [
        (Around(nn.Linear(6, 5)), VECTOR, 5, -1),
        (Around(nn.Linear(6, 5)), SEQUENCE, 5, -1),
        (Around(nn.LSTM(6, 5, batch_first=True, bidirectional=True)), SEQUENCE, 10, -1),
        (Around(nn.LayerNorm(6)), SEQUENCE, 6, -1),
        (Around(nn.Embedding(4, 5)), torch.ones(3, 7, dtype=torch.long), 5, -1),
        (Around(nn.Conv2d(6, 5, 1)), IMAGE, 5, 1),
        (Around(nn.ConvTranspose2d(6, 5, 1)), IMAGE, 5, 1),
        (Around(nn.BatchNorm1d(7)), SEQUENCE, 7, 1),
        (Around(nn.GroupNorm(2, 6)), IMAGE, 6, 1),
        (Around(nn.Linear(6, 9), transposed), SEQUENCE, 9, 1),
        (Around(nn.Conv2d(6, 9, 1), lambda x: x.permute(0, 2, 3, 1)), IMAGE, 9, 3),
        (Around(nn.Conv2d(6, 5, 1), doubled), IMAGE, 10, 1),
        (Around(nn.Identity()), IMAGE, 6, 1),
    ],
)
def test_it_is_found_on_the_example(model: nn.Module, x: Tensor, channels: int, axis: int) -> None:
    done = swap(model, {nn.ReLU: PReLU}, per_channel=True, example=x)
    (activation,) = named_activations(done.model).values()
    assert (activation.channels, activation.channel_axis) == (channels, axis)
    assert f"{channels} channels along axis {axis}" in str(done.report)


def test_an_unclear_axis_is_named_and_can_be_given() -> None:
    """Eight features joined to sixteen, on a map that is eight wide: the width could be the features."""
    model = nn.Sequential(Around(nn.Conv2d(6, 8, 1), doubled), nn.Conv2d(16, 4, 1), nn.ReLU())
    report = swap(model, {nn.ReLU: PReLU}, per_channel=True, example=IMAGE).report
    assert [site.layer for site in report.changed] == ["2"]
    assert [entry.layer for entry in report.skipped] == ["0.act"]
    assert "say `channel_axis=`" in report.skipped[0].reason
    sure = swap(model, {nn.ReLU: PReLU}, where="0.*", per_channel=True, channel_axis=1, example=IMAGE)
    assert [site.channels for site in sure.report.changed] == [16]


def test_a_shared_module_has_channels_for_each_name() -> None:
    act = nn.ReLU()
    model = nn.Sequential(act, nn.Linear(6, 5), nn.Sequential(act))
    report = swap(model, {nn.ReLU: PReLU}, per_channel=True, channel_axis=1, example=VECTOR).report
    assert [site.channels for site in report.changed] == [6, 5]


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(SwapError, match=r"its input \[3, 5\] has no axis 3"):
        swap(Around(nn.Linear(6, 5)), {nn.ReLU: PReLU}, per_channel=True, channel_axis=3, example=VECTOR)


def test_differing_channel_counts_are_named() -> None:
    class Pyramid(nn.Module):
        """One block for maps of different widths, which no graph shows."""

        def __init__(self) -> None:
            super().__init__()
            self.act, self.steps = (
                nn.ReLU(),
                nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 4)]),
            )
            self.last = nn.ReLU()

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            for step in self.steps[:2]:
                x = self.act(step(x))
            return self.last(self.steps[2](x))  # type: ignore[no-any-return]  # Module calls are Any

    report = swap(Pyramid(), {nn.ReLU: PReLU}, per_channel=True, example=VECTOR).report
    assert [site.layer for site in report.changed] == ["last"]
    assert "differ in their number of channels" in report.skipped[0].reason

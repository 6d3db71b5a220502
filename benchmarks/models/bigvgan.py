"""BigVGAN-base, a vocoder: mel spectrograms [n, 100, frames] become sound, 256 samples a frame.

Snake bends with a learned frequency a channel. It makes frequencies that the rate cannot hold, so each is
computed at twice the rate, between two low-pass filters. Weights stand without their normalisation, as the
generator is served.

Source: Lee et al. 2023, BigVGAN, https://arxiv.org/abs/2206.04658; Snake: Ziyin et al. 2020,
https://arxiv.org/abs/2006.08195
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import model_factory

BANDS = 100
WIDTHS = (512, 256, 128, 64, 32)
RATES = (8, 8, 2, 2)
KERNELS, DILATIONS = (3, 7, 11), (1, 3, 5)
TAPS = 12
RATIO = 2


class Snake(nn.Module):
    """x + sin²(αx) / α, as people write it: α a channel, kept as its logarithm, held off zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, T] -> the same shape."""
        alpha = torch.exp(self.alpha).unsqueeze(0).unsqueeze(-1)
        result: Tensor = x + (1.0 / (alpha + 1e-9)) * torch.pow(torch.sin(x * alpha), 2)
        return result


class AntiAliased(nn.Module):
    """An activation at twice the rate."""

    lowpass: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snake = Snake(channels)
        self.register_buffer("lowpass", lowpass())

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, T] -> the same shape."""
        return self._down(self.snake(self._up(x)))

    def _up(self, x: Tensor) -> Tensor:
        around = TAPS // RATIO - 1
        cut = around * RATIO + (TAPS - RATIO) // 2
        channels = x.shape[1]
        padded = F.pad(x, (around, around), mode="replicate")
        filters = self.lowpass.expand(channels, 1, TAPS)
        wide = RATIO * F.conv_transpose1d(padded, filters, stride=RATIO, groups=channels)
        return wide[..., cut:-cut]

    def _down(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        padded = F.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return F.conv1d(padded, self.lowpass.expand(channels, 1, TAPS), stride=RATIO, groups=channels)


def lowpass() -> Tensor:
    """The filter that keeps half of what twice the rate can hold: a sinc in Kaiser's window, [1, 1, TAPS]."""
    cutoff, transition = 0.5 / RATIO, 2.4 / RATIO
    attenuation = 2.285 * (TAPS / 2 - 1) * np.pi * transition + 7.95
    beta = 0.1102 * (attenuation - 8.7)  # Kaiser's formula above 50 dB
    times = np.arange(TAPS) - TAPS / 2 + 0.5
    taps = 2 * cutoff * np.kaiser(TAPS, beta) * np.sinc(2 * cutoff * times)
    return torch.from_numpy(taps / taps.sum()).float().reshape(1, 1, TAPS)


class Periodic(nn.Module):
    """The paper's AMP block: three times two convolutions, each after an activation, and a way around."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(
                AntiAliased(channels),
                nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same"),
                AntiAliased(channels),
                nn.Conv1d(channels, channels, kernel, padding="same"),
            )
            for dilation in DILATIONS
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, T] -> the same shape."""
        for step in self.steps:
            x = x + step(x)
        return x


class Up(nn.Module):
    """A transposed convolution that raises the rate, and the mean of three blocks of different kernels."""

    def __init__(self, inputs: int, outputs: int, rate: int) -> None:
        super().__init__()
        self.raised = nn.ConvTranspose1d(inputs, outputs, 2 * rate, stride=rate, padding=rate // 2)
        self.blocks = nn.ModuleList(Periodic(outputs, kernel) for kernel in KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, T] -> [N, outputs, rate · T]."""
        raised = self.raised(x)
        total: Tensor = sum((block(raised) for block in self.blocks[1:]), self.blocks[0](raised))
        return total / len(self.blocks)


@model_factory
def bigvgan() -> nn.Sequential:
    """The generator of 14.0 million parameters: [n, 100, frames] -> [n, 1, 256 · frames]."""
    ups = [
        Up(inputs, outputs, rate)
        for (inputs, outputs), rate in zip(itertools.pairwise(WIDTHS), RATES, strict=True)
    ]
    first, last = nn.Conv1d(BANDS, WIDTHS[0], 7, padding=3), nn.Conv1d(WIDTHS[-1], 1, 7, padding=3)
    return nn.Sequential(first, *ups, AntiAliased(WIDTHS[-1]), last, nn.Tanh())

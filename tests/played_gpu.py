"""GPUs' providers where there is no GPU: installed, with a device, and computing on the CPU."""

from typing import Any

import pytest

from adaptact.providers import catalogue
from adaptact.providers.built_in import CudaProvider
from adaptact.providers.catalogue import PROVIDERS, find_provider
from adaptact.providers.provider import Options, Ort
from adaptact.providers.tensorrt_rtx import TensorRtRtxProvider


class PlayedCuda(CudaProvider):
    """CUDA, of which `opened` notes the options and the device of every session."""

    def __init__(self) -> None:
        self.opened: list[tuple[Options, int]] = []

    def is_installed(self) -> bool:
        return True

    def require(self) -> None:
        """There is a device."""

    def open(self, model: bytes | str, options: Ort, **how: Any) -> Ort:
        self.opened.append((how.get("more") or {}, how.get("device", 0)))
        return find_provider("cpu").open(model, options)


class PlayedTensorRtRtx(TensorRtRtxProvider):
    """The plug-in is installed, and finds no GPU that it runs on."""

    def is_installed(self) -> bool:
        return True


def play_gpus(monkeypatch: pytest.MonkeyPatch) -> PlayedCuda:
    """Both are installed, and CUDA works."""
    cuda = PlayedCuda()
    played = {**PROVIDERS, "cuda": cuda, "tensorrt-rtx": PlayedTensorRtRtx()}
    monkeypatch.setattr(catalogue, "PROVIDERS", played)
    return cuda

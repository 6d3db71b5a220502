"""All providers, by the names that people ask for them by."""

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Literal, TypeAlias, get_args

from adaptact.errors import ProviderError
from adaptact.providers.built_in import CpuProvider, CudaProvider
from adaptact.providers.machine import describe_processor
from adaptact.providers.openvino import OpenVinoProvider
from adaptact.providers.provider import Provider
from adaptact.providers.tensorrt_rtx import TensorRtRtxProvider
from adaptact.suggestions import suggest

ProviderName: TypeAlias = Literal["cpu", "cuda", "openvino", "tensorrt-rtx"]
"""The names, as a type."""
ProviderChoice: TypeAlias = Literal["cpu", "cuda", "openvino", "tensorrt-rtx", "auto"]
"""The same, or whichever is measured to be the fastest."""
AUTO = "auto"
NAMES: tuple[ProviderName, ...] = get_args(ProviderName)

_ALL: tuple[Provider, ...] = (CpuProvider(), CudaProvider(), OpenVinoProvider(), TensorRtRtxProvider())
PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ALL}


def find_provider(name: str) -> Provider:
    """The provider of this name; ProviderError where there is none."""
    if name not in PROVIDERS:
        raise ProviderError(
            f"provider `{name}` is not known, expected one of: {', '.join(PROVIDERS)}",
            suggest(name, list(PROVIDERS)),
        )
    return PROVIDERS[name]


def list_others() -> list[ProviderName]:
    """Those that are tried beside the CPU provider: OpenVINO, and those on GPUs that are installed."""
    return [
        name for name in NAMES if name == "openvino" or (is_on_gpu(name) and PROVIDERS[name].is_installed())
    ]


def is_on_gpu(name: str) -> bool:
    """Whether the provider computes on a GPU."""
    return find_provider(name).on_gpu


def list_candidates(threads: int) -> list[tuple[ProviderName, int]]:
    """The providers and threads that are tried: first the CPU provider and the others with all, then those
    on the CPU with fewer: 1, 2, 4 and so on.
    """
    others = list_others()
    on_cpu: list[ProviderName] = ["cpu", *(name for name in others if not is_on_gpu(name))]
    fewer = takewhile(lambda number: number < threads, (2**power for power in count()))
    all_threads: list[tuple[ProviderName, int]] = [("cpu", threads), *((name, threads) for name in others)]
    return [*all_threads, *((name, number) for number in fewer for name in on_cpu)]


def describe_target() -> str:
    """The machine that a choice among the candidates holds for: its processor, and GPUs where those count."""
    return describe_processor(with_gpus=any(map(is_on_gpu, list_others())))

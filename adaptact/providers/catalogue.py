"""All providers, by the names that people ask for them by."""

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Literal, TypeAlias

from adaptact.errors import ProviderError
from adaptact.providers.built_in import CpuProvider, CudaProvider
from adaptact.providers.openvino import OpenVinoProvider
from adaptact.providers.provider import Provider
from adaptact.providers.tensorrt_rtx import TensorRtRtxProvider
from adaptact.suggestions import suggest

ProviderName: TypeAlias = Literal["cpu", "cuda", "openvino", "tensorrt-rtx"]
"""The names, as a type."""
ProviderChoice: TypeAlias = Literal["cpu", "cuda", "openvino", "tensorrt-rtx", "auto"]
"""The same, or whichever is measured to be the fastest."""
AUTO = "auto"
MEASURED: tuple[ProviderName, ...] = ("openvino",)
"""Those that are tried beside the CPU provider; a GPU is asked for by its name."""

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


def list_candidates(threads: int) -> list[tuple[ProviderName, int]]:
    """The providers and threads that are tried: first the CPU provider with all, then fewer: 1, 2, 4 and so
    on.
    """
    fewer = takewhile(lambda number: number < threads, (2**power for power in count()))
    return [(name, number) for number in (threads, *fewer) for name in ("cpu", *MEASURED)]

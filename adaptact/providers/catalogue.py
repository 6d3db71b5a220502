"""All providers, by the names that people ask for them by."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from adaptact.errors import ProviderError
from adaptact.providers.built_in import CpuProvider, CudaProvider
from adaptact.providers.openvino import OpenVinoProvider
from adaptact.providers.provider import Provider
from adaptact.suggestions import suggest

ProviderName: TypeAlias = Literal["cpu", "cuda", "openvino"]
"""The names, as a type."""
ProviderChoice: TypeAlias = Literal["cpu", "cuda", "openvino", "auto"]
"""The same, or whichever is measured to be the fastest."""
AUTO = "auto"

PROVIDERS: Mapping[str, Provider] = {
    each.name: each for each in (CpuProvider(), CudaProvider(), OpenVinoProvider())
}


def find_provider(name: str) -> Provider:
    """The provider of this name; ProviderError where there is none."""
    if name not in PROVIDERS:
        raise ProviderError(
            f"provider `{name}` is not known, expected one of: {', '.join(PROVIDERS)}",
            suggest(name, list(PROVIDERS)),
        )
    return PROVIDERS[name]

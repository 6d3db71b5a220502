"""Whole numbers that a provider would compute with wrongly, where the CPU provider takes or refuses them."""

from collections.abc import Mapping

from adaptact.providers.catalogue import PROVIDERS
from serve.engine.errors import InvalidInputError, quote
from serve.engine.manifest import Json, read_integer_limits
from serve.engine.signature import Array, Signature

WIDE = ("INT64", "UINT64", "UINT32")


def find_limits(provider: str, signature: Signature, manifest: Mapping[str, Json] | None) -> dict[str, int]:
    """By input, the number that its whole numbers are below.

    They are those of the manifest, since other providers than the CPU's read past a table, or answer
    anything, where a number has no place in it; and those of the provider's own whole numbers.
    """
    if provider == "cpu":
        return {}
    limits = read_integer_limits(manifest)
    bits = PROVIDERS[provider].whole_bits
    if bits < 64:
        wide = [spec.name for spec in signature.inputs if spec.datatype.name in WIDE]
        limits |= {name: min(limits.get(name, 2**63), 2 ** (bits - 1)) for name in wide}
    return limits


def check_limits(inputs: Mapping[str, Array], limits: Mapping[str, int]) -> None:
    """Raise `InvalidInputError` for a whole number that is not below its limit, or is below its negative."""
    for name, below in limits.items():
        array = inputs.get(name)
        if array is None or not array.size:
            continue
        least, most = int(array.min()), int(array.max())
        if most >= below or least < -below:
            raise InvalidInputError(
                f"input {quote(name)} holds `{most if most >= below else least}`, "
                f"expected whole numbers from `{-below}` to `{below - 1}`"
            )

"""The record of one swap: where it was made, and what was left out."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

MOST_CHANNELS = 2**20
"""The most channels in a record: loading allocates memory for them."""


@dataclass(frozen=True, slots=True)
class Site:
    """One place where a model applies an activation, and the activation there after the swap.

    `layer` is the activation's module name in the swapped model. Where it was a call in a forward, `owner`
    is the module with that forward ("" is the model itself) and `call` the node's name in its graph, or
    "method:number" in its source; where it was a module or a function of its own name, `call` is None.
    """

    layer: str
    replaced: str
    owner: str = ""
    call: str | None = None
    activation: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    channels: int | None = None
    channel_axis: int = 1

    def record(self) -> dict[str, Any]:
        """The site as JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The site of a record; raises TypeError where a field is missing, unknown or of the wrong type."""
        site = cls(**record)
        texts = (site.layer, site.replaced, site.owner, site.call or "", site.activation)
        numbers = (site.channels or 0, site.channel_axis)
        well_typed = all(isinstance(text, str) for text in texts) and all(type(n) is int for n in numbers)
        if not (well_typed and isinstance(site.options, dict)):
            raise TypeError(f"a field of the wrong type in `{record}`")
        if not 0 <= (site.channels or 0) <= MOST_CHANNELS:
            raise TypeError(f"expected at most {MOST_CHANNELS} channels, got {site.channels}")
        return site


@dataclass(frozen=True, slots=True)
class Skipped:
    """An activation that was left as it stood, and why."""

    layer: str
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.layer or '(the model)'}: {self.what} left as it is: {self.reason}"

"""What may look at a few of a model's runs, beside whoever asked for them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from serve.engine.signature import Array


class RunObserver(Protocol):
    """One model's observer, called on the event loop; it must neither wait nor raise."""

    def choose(self) -> bool:
        """Whether it takes this run."""
        ...

    def take(self, inputs: Mapping[str, Array], names: Sequence[str], outputs: Sequence[Array]) -> None:
        """Look at the run; the arrays are somebody else's afterwards. `names` are those of the outputs."""
        ...

"""The cores that other processes of the server leave idle."""

from typing import Protocol


class CoreCounts(Protocol):
    """The runs of all processes of a server."""

    def publish(self, running: int) -> None:
        """This process has so many runs in progress."""

    def has_free(self) -> bool:
        """Whether all processes together have fewer runs than there are cores for."""

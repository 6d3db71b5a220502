"""Where commands meet the controller of a cluster: a named actor that lives as long as the controller.

Ray gives the name to one actor at a time, so there are no two controllers.
"""

from dataclasses import dataclass, field
from typing import Any

NAME = "controller"


@dataclass(frozen=True, slots=True)
class Request:
    """What another command asks of the controller."""

    number: int
    verb: str
    content: Any = field(repr=False)


class Desk:
    """Requests to the controller, and what it says."""

    def __init__(self, holder: str) -> None:
        """`holder` is who controls the cluster, for people."""
        self._status: dict[str, Any] = {"controller": holder}
        self._requests: list[Request] = []
        self._number = 0
        self._outcomes: dict[int, str] = {}

    def ask(self, verb: str, content: Any = None) -> int:
        """The number of the request, by which its outcome is found."""
        self._number += 1
        self._requests.append(Request(self._number, verb, content))
        return self._number

    def read(self, number: int = 0) -> tuple[dict[str, Any], str | None]:
        """The cluster's state, and the outcome of a request: empty if it was done, None before."""
        return self._status, self._outcomes.get(number)

    def exchange(self, status: dict[str, Any], outcomes: dict[int, str]) -> list[Request]:
        """The controller tells what is new, and takes what is asked of it."""
        self._status = {**self._status, **status}
        self._outcomes.update(outcomes)
        requests, self._requests = self._requests, []
        return requests

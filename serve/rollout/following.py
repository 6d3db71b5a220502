"""Every process of every server follows the registry: what one changes, all do within a second or two."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from serve.experiments.errors import StoreError
from serve.experiments.store.registry import Registered, Registry

log = logging.getLogger("adaptact")

FOLLOW_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0


class Follower:
    """Tells what is registered, at once and after every change, from a thread of its own.

    While the store fails, what was told last stays.
    """

    def __init__(
        self,
        registry: Registry,
        tell: Callable[[Sequence[Registered]], None],
        seconds: float = FOLLOW_SECONDS,
    ) -> None:
        """Tell what is registered now; raises `StoreError`. `tell` is called from another thread later."""
        self._registry = registry
        self._tell = tell
        self._seconds = seconds
        self._told: Mapping[str, int] = {}
        self._failures = 0
        self._closed = threading.Event()
        self._changed = threading.Event()
        self._follow()
        self._thread = threading.Thread(target=self._work, name="adaptact-experiments", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Look at once, since this process has just changed something."""
        self._changed.set()

    def close(self) -> None:
        """Follow no more."""
        self._closed.set()
        self._changed.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closed.is_set():
            pause = min(self._seconds * 2 ** min(self._failures, 10), MAX_PAUSE_SECONDS)
            self._changed.wait(pause)
            self._changed.clear()
            if not self._closed.is_set():
                self._try()

    def _try(self) -> None:
        try:
            self._follow()
        except StoreError as error:
            if not self._failures:
                log.error("the experiments' store fails; experiments go on as they are: %s", error)
            self._failures += 1
        else:
            if self._failures:
                log.warning("the experiments' store can be read again")
            self._failures = 0

    def _follow(self) -> None:
        revisions = self._registry.read_revisions()
        if revisions == self._told:
            return
        registered = self._registry.read_all()
        self._tell(registered)
        self._told = {known.experiment.name: known.revision for known in registered}

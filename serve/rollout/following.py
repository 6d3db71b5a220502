"""Every process of every server follows the registry: what one changes, all do within a second or two."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from serve.experiments.errors import StoreError
from serve.experiments.store.registry import Registered, Registry

log = logging.getLogger("adaptact")

FOLLOW_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0
CATCH_UP_SECONDS = 2.0
"""So long an act is not answered at most, until this process follows it."""


class Follower:
    """Tells what is registered, at once and after every change, from a thread of its own.

    While the store fails, what was told last stays.
    """

    def __init__(
        self,
        registry: Registry,
        tell: Callable[[Sequence[Registered]], None],
        seconds: float = FOLLOW_SECONDS,
        *,
        check: Callable[[], None] = lambda: None,
        follow_aliases: Callable[[], None] = lambda: None,
    ) -> None:
        """Tell what is registered now; raises `StoreError`.

        `tell` is called from another thread later, and so is `check`, each time that nothing has changed.
        `follow_aliases`, which may raise `StoreError`, goes before both.
        """
        self._registry = registry
        self._tell = tell
        self._check = check
        self._follow_aliases = follow_aliases
        self._seconds = seconds
        self._told: Mapping[str, int] = {}
        self._failures = 0
        self._closed = threading.Event()
        self._changed = threading.Event()
        self._passes = threading.Condition()
        self._wanted = self._done = 0
        self._follow()
        self._thread = threading.Thread(target=self._work, name="adaptact-experiments", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Look at once, since this process has just changed something."""
        self._changed.set()

    def catch_up(self, seconds: float = CATCH_UP_SECONDS) -> bool:
        """Whether this process follows whatever was registered before, within so many seconds."""
        with self._passes:
            self._wanted += 1
            wanted = self._wanted
            self._changed.set()
            return self._passes.wait_for(lambda: self._done >= wanted, seconds)

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
            wanted = self._wanted
            try:
                is_followed = not self._closed.is_set() and self._try()
            except Exception:  # the outermost frame of its thread: the next time may succeed
                log.exception("changes of experiments are not followed")
                self._failures += 1
                continue
            if is_followed:
                with self._passes:
                    self._done = wanted
                    self._passes.notify_all()

    def _try(self) -> bool:
        """Whether the store could be read."""
        try:
            self._follow()
        except StoreError as error:
            if not self._failures:
                log.error("the experiments' store fails; experiments go on as they are: %s", error)
            self._failures += 1
            self._check()
            return False
        if self._failures:
            log.warning("the experiments' store can be read again")
        self._failures = 0
        return True

    def _follow(self) -> None:
        self._follow_aliases()
        revisions = self._registry.read_revisions()
        if revisions == self._told:
            self._check()
            return
        self._tell(self._registry.read_all())
        self._told = revisions

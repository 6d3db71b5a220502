"""Deletes what is too old to be kept: every hour, by one process of all that share a store."""

import logging
import threading
from collections.abc import Callable

from serve.experiments.errors import StoreError
from serve.experiments.store.database import Store, now
from serve.experiments.store.registry import Registry
from serve.experiments.store.retention import Deleted, delete_old

log = logging.getLogger("adaptact")

FIRST_SECONDS = 60.0
"""After the start, which has other things to do."""
EVERY_SECONDS = 3600.0


class Cleaner:
    """Cleans a store from a thread of its own, in pieces between which others write."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        days: float,
        *,
        first_seconds: float = FIRST_SECONDS,
        clock: Callable[[], int] = now,
    ) -> None:
        """Data of experiments that have ended, and outcomes, are kept for these days."""
        self._store = store
        self._registry = registry
        self._days = days
        self._clock = clock
        self._lease = registry.make_lease("retention", clock)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(first_seconds,), name="adaptact-retention", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Delete no more; what is left is deleted the next time."""
        self._closed.set()
        self._thread.join()

    def clean(self) -> Deleted:
        """Delete what is too old, unless another process does; raises `StoreError`."""
        if self._is_stopping():
            return Deleted()
        logs = {known.experiment.name: known.experiment.log for known in self._registry.read_all()}
        sample_days = {name: payloads.retention_days for name, payloads in logs.items() if payloads}
        return delete_old(
            self._store,
            self._clock(),
            self._days,
            sample_days,
            is_stopping=self._is_stopping,
            sleep=self._sleep,
        )

    def _is_stopping(self) -> bool:
        """Also renews the lease, since to delete much takes longer than it lasts."""
        return self._closed.is_set() or not self._lease.hold()

    def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _work(self, pause: float) -> None:
        while not self._closed.wait(pause):
            pause = EVERY_SECONDS
            try:
                deleted = self.clean()
            except StoreError as error:
                log.error("old data of experiments are not deleted: %s", error)
            except Exception:  # the outermost frame of its thread: the next time may succeed
                log.exception("old data of experiments are not deleted")
            else:
                if deleted != Deleted():
                    log.info("old data of experiments are deleted: %s", deleted)

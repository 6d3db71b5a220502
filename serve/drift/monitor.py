"""The drift of all models of one process: who is watched, and the thread that counts."""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from weakref import WeakSet

from adaptact.text import escape_line
from serve.drift.baseline import Baseline, BaselineError, read_baseline
from serve.drift.layers import LayerProbe, OpenSession
from serve.drift.options import DriftOptions
from serve.drift.watcher import SampleCounts, Watcher
from serve.drift.window import Tallies
from serve.engine.model import ServedModel

COUNT_SECONDS = 5.0
RENEW_SECONDS = 1.0

log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True, eq=False)
class WatchedWindow:
    """What one process has counted of a version within the window."""

    name: str
    version: str
    baseline: Baseline
    tallies: Tallies
    seconds: float


class DriftMonitor:
    """Watches the versions whose files hold a baseline; the first one starts its thread, `close` ends it."""

    def __init__(self, options: DriftOptions) -> None:
        """No version is watched yet."""
        self._options = options
        self._lock = threading.Lock()
        self._watchers: WeakSet[Watcher] = WeakSet()
        self._counts: dict[tuple[str, str], SampleCounts] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="adaptact-drift", daemon=True)

    def watch(self, model: ServedModel, open_session: OpenSession) -> Watcher | None:
        """The observer of the version's runs for as long as something holds it; None without a baseline."""
        if model.baseline is None:
            return None
        try:
            baseline = read_baseline(model.baseline, model.signature, model.own_outputs)
        except BaselineError as error:
            log.warning("%s: drift is not watched: %s", model.label, escape_line(str(error)))
            return None
        counts = self._counts.setdefault((model.name, model.version), SampleCounts())
        watcher = Watcher(model.name, model.version, baseline, self._options, counts)
        if watcher.plan.activations and model.file_bytes <= self._options.layers_limit_bytes:
            names, seconds = watcher.plan.activations, model.config.run_seconds
            watcher.probe = LayerProbe(model.label, names, model.signature, open_session, seconds)
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()
            self._watchers.add(watcher)
        return watcher

    def read_windows(self) -> Iterator[WatchedWindow]:
        """What was counted of each version that is watched; of one that was replaced, the newer one."""
        for watcher in self._list():
            window = watcher.window
            yield WatchedWindow(
                watcher.name, watcher.version, watcher.baseline, window.read(), window.count_seconds()
            )

    def read_counts(self) -> Mapping[tuple[str, str], SampleCounts]:
        """What became of chosen runs, by name and version, since the start."""
        return dict(self._counts)

    def count_now(self) -> None:
        """Count what is kept now, in this thread."""
        for watcher in self._list():
            watcher.count()

    def close(self) -> None:
        """Count no more."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(COUNT_SECONDS)

    def _list(self) -> list[Watcher]:
        """Those in use, by name; the last loaded one of each version."""
        with self._lock:
            watchers = sorted(self._watchers, key=lambda watcher: watcher.number)
        return list({(watcher.name, watcher.version): watcher for watcher in watchers}.values())

    def _work(self) -> None:
        renewed = counted = monotonic()
        while not self._closed.wait(RENEW_SECONDS):
            now = monotonic()
            for watcher in self._list():
                watcher.renew(now - renewed)
            renewed = now
            if now - counted >= COUNT_SECONDS:
                counted = now
                self._count_all()

    def _count_all(self) -> None:
        for watcher in self._list():
            try:
                watcher.count()
            except Exception as error:
                # The outermost frame of its thread, which must go on, whatever a model answers.
                log.exception("drift of model `%s` is no longer watched", watcher.name, exc_info=error)
                self._forget(watcher)

    def _forget(self, watcher: Watcher) -> None:
        watcher.stop()
        with self._lock:
            self._watchers.discard(watcher)

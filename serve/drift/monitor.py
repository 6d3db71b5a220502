"""The drift of all models of one process: who is watched, and the thread that counts."""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary, ref

from adaptact.text import escape_line
from serve.drift.baseline import Baseline, BaselineError, read_baseline
from serve.drift.first_rows import FirstRows
from serve.drift.layers import LayerProbe, OpenSession
from serve.drift.options import DriftOptions
from serve.drift.stored_windows import StoredWindows
from serve.drift.watcher import SampleCounts, Watcher
from serve.drift.window import Tallies
from serve.engine.model import ServedModel
from serve.engine.run_observer import RunObserver

COUNT_SECONDS = 5.0
RENEW_SECONDS = 1.0
SAVE_SECONDS = 60.0
"""So much is lost at most where a process ends without warning."""
FOLDER = "drift"
"""In the state folder, where baselines of first rows are."""
WINDOWS = f"{FOLDER}/windows"
NOT_WATCHED = "%s: drift is not watched: %s"

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
        self._first_rows: WeakKeyDictionary[FirstRows, ref[ServedModel]] = WeakKeyDictionary()
        # Held by watchers, and gone with the last one of the version.
        self._counts: WeakValueDictionary[tuple[str, str], SampleCounts] = WeakValueDictionary()
        folder = options.state_folder
        windows = None if folder is None else StoredWindows(folder / WINDOWS, options.window_seconds)
        self._windows = windows
        self._storing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="adaptact-drift", daemon=True)

    def watch(self, model: ServedModel, open_session: OpenSession) -> RunObserver | None:
        """The observer of the version's runs for as long as something holds it; None without a baseline.

        One that is to get its baseline from its first rows gets another observer by then.
        """
        if model.baseline is None:
            return self._watch_first_rows(model)
        try:
            baseline = read_baseline(model.baseline, model.signature, model.own_outputs)
        except BaselineError as error:
            log.warning(NOT_WATCHED, model.label, escape_line(str(error)))
            return None
        watcher = self._make_watcher(model, baseline)
        if watcher.plan.activations and model.file_bytes <= self._options.layers_limit_bytes:
            names, seconds = watcher.plan.activations, model.config.run_seconds
            watcher.probe = LayerProbe(model.label, names, model.signature, open_session, seconds)
        return watcher

    def _make_watcher(self, model: ServedModel, baseline: Baseline) -> Watcher:
        with self._lock:
            counts = self._counts.setdefault((model.name, model.version), SampleCounts())
            watcher = Watcher(model, baseline, self._options, counts)
            for other in self._watchers:
                if other.is_of_same_file(watcher):
                    watcher.window = other.window
            self._watchers.add(watcher)
            self._start()
        return watcher

    def _watch_first_rows(self, model: ServedModel) -> FirstRows | None:
        folder = self._options.state_folder
        if not self._options.first_rows or folder is None or not model.digest:
            return None
        first_rows = FirstRows(model, folder / FOLDER / f"{model.digest}.json", self._options)
        with self._lock:
            self._first_rows[first_rows] = ref(model)
            self._start()
        return first_rows

    def _start(self) -> None:
        """Start the thread, unless it runs; the caller holds the lock."""
        if self._thread.ident is None:
            self._thread.start()

    def read_windows(self, name: str | None = None, version: str | None = None) -> Iterator[WatchedWindow]:
        """What was counted of each version that is watched, or of this one; of a replaced one, the newer."""
        for watcher in self._list():
            if name is not None and (watcher.name, watcher.version) != (name, version):
                continue
            window = watcher.window
            yield WatchedWindow(
                watcher.name, watcher.version, watcher.baseline, window.read(), window.count_seconds()
            )

    def describe_first_rows(self, name: str, version: str) -> str:
        """How many first rows this process has met of a version that gets its baseline so; else empty."""
        for first_rows, get_model in self._list_first_rows().items():
            model = get_model()
            if model is not None and (model.name, model.version) == (name, version):
                return first_rows.describe()
        return ""

    def read_counts(self) -> Mapping[tuple[str, str], SampleCounts]:
        """What became of chosen runs, by name and version of what is loaded."""
        with self._lock:
            return dict(self._counts.items())  # which holds each while it is copied

    def count_now(self) -> None:
        """Count what is kept now, in this thread."""
        self._find_baselines()
        for watcher in self._list():
            try:
                watcher.count()
            except Exception as error:
                # The outermost frame of its thread, which must go on, whatever a model answers.
                log.exception("drift of model `%s` is no longer watched", watcher.name, exc_info=error)
                self._forget(watcher)

    @property
    def keeps_windows(self) -> bool:
        """Whether a later process goes on with what this one has counted."""
        return self._windows is not None

    def store(self) -> None:
        """Store what is counted by now for a later process, where there is a state folder."""
        self.count_now()
        self._exchange(saves=True)

    def close(self) -> None:
        """Count no more."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(COUNT_SECONDS)
        if self._windows is not None:
            self._windows.close()

    def _list(self) -> list[Watcher]:
        """Those in use, by name; the last loaded one of each version."""
        with self._lock:
            watchers = sorted(self._watchers, key=lambda watcher: watcher.number)
        return list({(watcher.name, watcher.version): watcher for watcher in watchers}.values())

    def _work(self) -> None:
        renewed = counted = saved = monotonic()
        self._exchange(saves=False)
        while not self._closed.wait(RENEW_SECONDS):
            now = monotonic()
            observers: list[Watcher | FirstRows] = [*self._list(), *self._list_first_rows()]
            for observer in observers:
                observer.renew(now - renewed)
            renewed = now
            if now - counted >= COUNT_SECONDS:
                counted = now
                self.count_now()
                is_due = now - saved >= SAVE_SECONDS
                saved = now if is_due else saved
                self._exchange(saves=is_due)

    def _exchange(self, *, saves: bool) -> None:
        """Take over what ended processes have counted, and store what this one has."""
        if self._windows is None:
            return
        try:
            with self._storing:
                watchers = self._list()
                self._windows.adopt(watchers)
                if saves:
                    self._windows.save(watchers)
        except OSError as error:
            log.warning("what is counted of drift is not stored: %s", escape_line(str(error)))

    def _list_first_rows(self) -> dict[FirstRows, "ref[ServedModel]"]:
        with self._lock:
            return dict(self._first_rows)

    def _find_baselines(self) -> None:
        """From now on versions are compared with their first rows, where there are enough of them by now."""
        for first_rows, get_model in self._list_first_rows().items():
            model = get_model()
            observer: Watcher | None = None
            try:
                baseline = first_rows.find()
                if baseline is None:
                    continue
                if model is not None:
                    observer = self._make_watcher(model, baseline)
                    log.info("%s: drift is watched from now on, by its first rows", model.label)
            except Exception as error:
                # The outermost frame of its thread, which must go on, whatever a model answers.
                unforeseen = None if isinstance(error, BaselineError | OSError) else error
                label = "a model" if model is None else model.label
                log.warning(NOT_WATCHED, label, escape_line(str(error)), exc_info=unforeseen)
            with self._lock:
                self._first_rows.pop(first_rows, None)
            if model is not None:
                model.observer = observer

    def _forget(self, watcher: Watcher) -> None:
        watcher.stop()
        with self._lock:
            self._watchers.discard(watcher)

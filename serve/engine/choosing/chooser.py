"""Who chooses the provider of each model: what is remembered at once, else by a trial in the background."""

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from adaptact.languages.catalogue import mark
from adaptact.providers.catalogue import describe_target, list_others
from adaptact.providers.machine import list_versions
from convert.manifest.decode import ManifestError, decode
from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.choosing.cache import ChoiceCache
from serve.engine.choosing.task import LIMIT_SECONDS, ChoiceTask
from serve.engine.errors import HungLoadError, StartupError
from serve.engine.manifest import Json

MOST_KNOWN = 1024
MOST_CANDIDATES = 64  # of one choice: each has series of its own in the metrics
log = logging.getLogger("adaptact")

Measure = Callable[[ChoiceTask], "ProviderChoiceRecord | None"]


class ProviderChooser:
    """Chooses for one file at a time, and never twice for the same one, whichever worker asks first."""

    def __init__(self, folder: Path | None, measure: "Measure | None" = None) -> None:
        """Remember choices in the folder, or in the user's cache folder; no thread runs before `request`."""
        self._cache = ChoiceCache(folder)
        self._measure = measure or self._measure_apart
        self._known: dict[str, ProviderChoiceRecord] = {}
        self._requests: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._has_begun = self._is_closed = False
        self._process: subprocess.Popen[str] | None = None

    def find(self, task: ChoiceTask) -> ProviderChoiceRecord | None:
        """What is remembered for the file; None where it has to be measured."""
        key = task.make_key()
        return self._known.get(key) or self._cache.read(key)

    def request(
        self,
        task: ChoiceTask,
        manifest: Mapping[str, Json] | None,
        then: Callable[[ProviderChoiceRecord], None],
    ) -> None:
        """Choose in the background, and then call `then` in that thread; never where nothing can be said."""
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                threading.Thread(target=self._work, name="adaptact-provider", daemon=True).start()
        recorded = read_recorded(manifest, task)

        def choose() -> None:
            choice = self._choose(task, recorded)
            if choice is not None:
                then(choice)

        self._requests.put(choose)

    def remember(self, task: ChoiceTask, choice: ProviderChoiceRecord) -> None:
        """The choice holds in this process, whatever the cache says."""
        while len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[task.make_key()] = choice

    def forget(self, task: ChoiceTask) -> None:
        """What the cache says holds again in this process."""
        self._known.pop(task.make_key(), None)

    def leave(self, task: ChoiceTask, choice: ProviderChoiceRecord, error: StartupError) -> str:
        """The CPU provider holds in this process from now on, and in others if the chosen one hangs; why."""
        reason = f"provider `{choice.provider}` was chosen and failed: {error}"
        choice = replace(choice, provider="cpu", threads=task.threads, verdict=reason)
        self.remember(task, choice)
        if isinstance(error, HungLoadError):  # the process that takes this one's place must not try it again
            self._cache.write(task.make_key(), choice)
        return reason

    def close(self) -> None:
        """Choose nothing more, and end the trial that goes on."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
        self._requests.put(None)

    def _work(self) -> None:
        while choose := self._requests.get():
            try:
                choose()
            except Exception:
                # The outermost frame of its thread, which must go on for the other models.
                log.exception("the provider of a model cannot be chosen; it stays on the CPU provider")

    def _choose(self, task: ChoiceTask, recorded: ProviderChoiceRecord | None) -> ProviderChoiceRecord | None:
        with self._cache.lock():  # held by the worker that measures; the others then find its choice
            choice = self.find(task)
            if choice is None and not self._is_closed:
                choice = recorded or self._measure(task)
                if choice is not None:
                    self._cache.write(task.make_key(), choice)
        if choice is not None:
            self.remember(task, choice)
        return choice

    def _measure_apart(self, task: ChoiceTask) -> ProviderChoiceRecord | None:
        """The trial in a process of its own; None where it was not the task's file that it found."""
        command = [sys.executable, "-P", "-m", "serve.engine.choosing.trial", task.to_json()]
        pipe = subprocess.PIPE
        with self._lock:
            if self._is_closed:
                return None
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace"
            )
        with self._process as process:
            output, errors = process.communicate()
        self._process = None
        if self._is_closed:
            return None
        if process.returncode > 0:
            reason = (errors.splitlines() or [f"exit status {process.returncode}"])[-1]
            log.warning("the providers were not tried on model `%s`: %s", task.name, reason)
            return None
        if process.returncode < 0:
            return _make_default(task, _describe_end(-process.returncode))
        try:
            choice: ProviderChoiceRecord = decode(ProviderChoiceRecord, json.loads(output), "choice")
        except ValueError as error:
            return _make_default(task, mark("the trial's result cannot be read: {error}").format(error=error))
        return choice


def read_recorded(manifest: Mapping[str, Json] | None, task: ChoiceTask) -> ProviderChoiceRecord | None:
    """The choice in the file's manifest, where it was made on such a machine, with these versions, for the
    rows of a usual run where those are known, and takes no more threads than a run may have here.
    """
    content = (manifest or {}).get("choice")
    if content is None:
        return None
    try:
        choice: ProviderChoiceRecord = decode(ProviderChoiceRecord, content, "choice")
    except ManifestError:
        return None
    known = {"cpu", *list_others()}
    named = {choice.provider, *(candidate.provider for candidate in choice.candidates)}
    is_plausible = named <= known and len(choice.candidates) <= MOST_CANDIDATES
    fits = choice.holds_for(describe_target(), list_versions()) and 1 <= choice.threads <= task.threads
    is_asked = task.usual_rows == 0 or choice.batches == (task.usual_rows,)
    return choice if is_plausible and fits and is_asked else None


def _describe_end(number: int) -> str:
    if number == signal.SIGALRM:
        return mark("trying the others took more than {seconds} s").format(seconds=LIMIT_SECONDS)
    name = signal.Signals(number).name
    return mark("trying the others ended the process ({signal})").format(signal=name)


def _make_default(task: ChoiceTask, verdict: str) -> ProviderChoiceRecord:
    about = describe_target(), list_versions(), (), task.seconds, 0.0, "", ()
    return ProviderChoiceRecord("cpu", task.threads, *about, verdict)

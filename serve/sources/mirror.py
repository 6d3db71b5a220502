"""The copy made to be what the source has, part by part."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from time import time

from serve.engine.errors import quote
from serve.sources.copy import LocalCopy
from serve.sources.errors import PartRefusedError, SourceError
from serve.sources.fetching import fetch_part
from serve.sources.options import SourceOptions
from serve.sources.parts import Key, Part, list_parts
from serve.sources.source import Source
from serve.sources.status import LONGEST_REASON, RefusedPart, SourceStatus, read_status, write_status

log = logging.getLogger("adaptact")

MAX_FAILURES = 3
"""So many parts in a row that do not arrive mean that the source is away."""
LONGEST_PAUSE_SECONDS = 3600.0
UNWRITTEN = "the copy cannot be written: %s"


def synchronise(
    open_source: Callable[[], Source], options: SourceOptions, *, is_first: bool = False
) -> SourceStatus:
    """The source's status, after the copy was made to be what it has, as far as it can be taken.

    `is_first` waits for another server that does the same, removes what is damaged of the copy, and tries
    again what was refused. A source that is away leaves the copy as it is; the status says why. Raises
    `SourceError` and `OSError` where the copy cannot be used.
    """
    copy = LocalCopy(options.folder)
    with copy.lock(waits=is_first) as is_ours:
        before = read_status(options.folder)
        if before.url not in ("", options.url) and copy.list_keys():
            raise SourceError(f"folder `{options.folder}` is a copy of `{before.url}`; name another one")
        if not is_ours:
            log.info("another server brings `%s` up to date", options.folder)
            return before
        if is_first:
            _remove_damaged(copy)
        synchronisation = Synchronisation(copy, options, {} if is_first else before.refusals)
        error = ""
        try:
            synchronisation.run(open_source())
        except SourceError as failure:
            error = str(failure)
        except OSError as failure:
            error = UNWRITTEN % (failure.strerror or failure)
        now = time()
        status = SourceStatus(
            url=options.url,
            is_up=not error,
            error=error,
            checked=now,
            succeeded=before.succeeded if error else now,
            interval_seconds=options.interval_seconds,
            bytes=before.bytes + synchronisation.bytes,
            refusals={**(before.refusals if error else {}), **synchronisation.refusals},
        )
        try:
            write_status(options.folder, status)
        except OSError as failure:  # what is there can be served all the same
            status = replace(status, is_up=False, error=UNWRITTEN % (failure.strerror or failure))
        return status


class Synchronisation:
    """One round of taking what is new and removing what is gone, and what came of it."""

    def __init__(self, copy: LocalCopy, options: SourceOptions, earlier: dict[str, RefusedPart]) -> None:
        """`earlier` are the refusals of the round before, by the part's folder."""
        self._copy = copy
        self._options = options
        self._earlier = earlier
        self.bytes = 0
        """How many were fetched."""
        self.refusals: dict[str, RefusedPart] = {}
        """By the part's folder."""

    def run(self, source: Source) -> None:
        """Raises `SourceError` where the source is away, `OSError` where the copy cannot be used."""
        listing = list_parts(source.list_files(), self._options.limit_bytes, self._options.latest)
        if listing.foreign:
            some = quote(listing.foreign[0])
            log.debug("%d files belong to no model, such as %s", len(listing.foreign), some)
        failures = 0
        for part in listing.parts:
            if self._copy.has_current(part) or self._is_pausing(part):
                continue
            try:
                self._take(source, part)
                failures = 0
            except (SourceError, OSError) as error:
                self._refuse(part, str(error))
                failures += isinstance(error, SourceError) and not isinstance(error, PartRefusedError)
                if failures == MAX_FAILURES:
                    raise SourceError(f"{failures} parts in a row did not arrive: {error}") from error
        self._remove_gone({part.key for part in listing.parts})

    def _is_pausing(self, part: Part) -> bool:
        """Whether the same files were refused and are not to be tried again yet; the refusal then stays."""
        earlier = self._earlier.get(part.folder)
        if earlier is None or earlier.stamp != _stamp(part):
            return False
        # A clock that was set back must not make it wait for longer.
        if not 0 < earlier.again - time() <= LONGEST_PAUSE_SECONDS:
            return False
        self.refusals[part.folder] = earlier
        return True

    def _take(self, source: Source, part: Part) -> None:
        if part.problem:
            raise PartRefusedError(part.problem)
        log.info("%s: %d bytes are fetched from the source", part.folder, part.size)
        with self._copy.stage() as staged:
            digests = fetch_part(source, part, staged, self._options)
            self._copy.install(part, staged, digests)
        self.bytes += part.size

    def _refuse(self, part: Part, reason: str) -> None:
        """Note why; the same files are tried again after pauses that grow."""
        rest = "the earlier copy stays" if part.key in self._copy.list_keys() else "it has no copy yet"
        log.error("%s is not taken from the source: %s; %s", part.folder, reason, rest)
        earlier, stamp = self._earlier.get(part.folder), _stamp(part)
        tries = earlier.tries + 1 if earlier is not None and earlier.stamp == stamp else 1
        pause = min(self._options.interval_seconds * 2.0 ** min(tries - 2, 30), LONGEST_PAUSE_SECONDS)
        self.refusals[part.folder] = RefusedPart(reason[:LONGEST_REASON], stamp, tries, time() + pause)

    def _remove_gone(self, listed: set[Key]) -> None:
        """Remove what the source no longer has, as far as that is wanted."""
        if self._options.removal == "nothing":
            return
        here = set(self._copy.list_keys())
        models = {model for model, version in listed & here if version}
        for key in sorted(here - listed):
            if self._options.removal == "all" or key[0] in models:
                log.info("`%s` is gone from the source, and is removed", "/".join(filter(None, key)))
                self._copy.remove(key)


def _remove_damaged(copy: LocalCopy) -> None:
    for key in copy.find_damaged():
        log.error("the copy of `%s` is damaged, and fetched anew", "/".join(filter(None, key)))
        copy.remove(key)


def _stamp(part: Part) -> str:
    text = repr(sorted((file.path, file.size, file.stamp) for file in part.files))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

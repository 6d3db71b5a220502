"""Model files whose loading did not end, which are refused from then on without being tried."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from serve.engine.errors import ModelRefusedError
from serve.engine.repository import Fingerprint, ModelFile


@dataclass(frozen=True, slots=True)
class HungFile:
    """A version whose loading did not end, as plain texts that another process can be given."""

    name: str
    version: str
    fingerprint: str
    """A digest of what shows whether its files have changed."""
    reason: str
    """What a load of it is answered with."""


class HungFiles:
    """The files known to hang; one that has changed since is not among them."""

    def __init__(self, known: Iterable[HungFile] = ()) -> None:
        """Start with those that another process has found."""
        self._files = {(file.name, file.version): file for file in known}

    def add(self, file: ModelFile, fingerprint: Fingerprint, reason: str) -> None:
        """Refuse these files from now on."""
        self._files[file.name, file.version] = HungFile(file.name, file.version, _digest(fingerprint), reason)

    def check(self, file: ModelFile, fingerprint: Fingerprint) -> None:
        """Raise `ModelRefusedError` if loading exactly these files is known to hang."""
        hung = self._files.get((file.name, file.version))
        if hung is not None and hung.fingerprint == _digest(fingerprint):
            raise ModelRefusedError(hung.reason)

    def files(self) -> tuple[HungFile, ...]:
        """All that are known to hang."""
        return tuple(self._files.values())


def _digest(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(repr(fingerprint).encode()).hexdigest()

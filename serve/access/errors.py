"""What keeps a request out.

AccessError
├── KeyRequiredError       no key, or one that nobody has
├── RoleRequiredError      a key without the role that the request needs
└── ClientLimitError       a client that asks more often than it may

KeysFileError and TlsError, of `StartupError`, are of files that cannot be read or used.
"""

from serve.engine.errors import EngineError, StartupError


class AccessError(EngineError):
    """Root of every error that keeps a request out."""


class KeyRequiredError(AccessError):
    """A request that needs a key and has none, or one that nobody has."""


class RoleRequiredError(AccessError):
    """A request whose sender is known and may not make it."""


class ClientLimitError(AccessError):
    """A request of a client that is over its own limit; it may ask again in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class KeysFileError(StartupError):
    """A keys file that cannot be read, or says what cannot be."""


class TlsError(StartupError):
    """A certificate or key that cannot be used."""

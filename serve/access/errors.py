"""Errors that refuse a request, and of the files that access needs.

AccessError
├── KeyRequiredError       no key, or an unknown one
├── RoleRequiredError      a key without the role that the request needs
├── ClientLimitError       a client over its own limit
└── AuditError             an action that the audit log cannot record, or a log that cannot be read

KeysFileError and TlsError are StartupErrors, for files that cannot be read or used.
"""

from serve.engine.errors import EngineError, StartupError


class AccessError(EngineError):
    """The root of every error that refuses a request."""


class KeyRequiredError(AccessError):
    """A request that needs a key and has none, or an unknown one."""


class RoleRequiredError(AccessError):
    """A request whose sender is known and may not make it, since their key lacks the role."""

    def __init__(self, key: str, role: str) -> None:
        super().__init__(f"the key `{key}` does not have the role `{role}`")
        self.details = {"key": key, "role": role}


class ClientLimitError(AccessError):
    """A request of a client over its own limit, which may try again in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class AuditError(AccessError):
    """An action that is not done, since the audit log cannot record it; or a log that cannot be read."""


class KeysFileError(StartupError):
    """A keys file that cannot be read, or holds a wrong value."""


class TlsError(StartupError):
    """A certificate or key that cannot be used."""

"""The errors of serving, independent of HTTP and gRPC.

EngineError
├── UnknownModelError            no such model, or no such version of it
├── ModelUnavailableError        the model is there but did not load, or was unloaded
│   └── ModelUnloadedError       it was unloaded to make room for others, and a request loads it again
├── QueueFullError               as many requests wait for the model as may wait
├── DeadlineExceededError        the request waited longer than it may
├── DrainingError                the engine takes no new requests, since it is about to end
├── AliasError                   an alias with an invalid name or version
├── InvalidInputError            names, datatypes, shapes or values that the model does not take
├── MalformedRequestError        a message that cannot be read
├── NotExpressibleError          an answer that JSON cannot hold
├── UnsupportedError             a feature of the protocol that this server does not have
├── RunFailedError               the model failed while running; the log has the details
└── StartupError                 the server cannot start
    ├── RepositoryError          the models folder
    ├── StateError               the folder of what outlives the process
    ├── ProviderError            the execution provider
    ├── ListenError              the address to listen on
    └── ModelRefusedError        one model's file
        ├── PolicyError          a file without the parity or the signature that the operator requires
        ├── HungLoadError        a file whose loading does not end
        └── ConfigError          a model's `config.toml`
"""

import reprlib
from collections.abc import Mapping
from types import MappingProxyType

SHOWN_CHARACTERS = 100


class EngineError(Exception):
    """The root: every message is one line, safe to show to a client."""

    reply_parameters: Mapping[str, str] = MappingProxyType({})
    """What else the reply's message says, such as whose request it was in an experiment."""
    reply_headers: tuple[tuple[bytes, bytes], ...] = ()
    """The same for headers of HTTP, and for the trailing metadata of gRPC."""
    details: Mapping[str, str] = MappingProxyType({})
    """What programs need to know of the error beside its message."""


class UnknownModelError(EngineError):
    """A model or version that is not in the repository."""


class ModelUnavailableError(EngineError):
    """A model or version that is in the repository but did not load."""


class ModelUnloadedError(ModelUnavailableError):
    """A model that is loaded when it is asked for; it may answer in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(EngineError):
    """A request refused because the model's queue is full; it may succeed in `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(EngineError):
    """A request whose time limit passed before it was answered."""


class DrainingError(EngineError):
    """A request that arrived during shutdown."""


class AliasError(EngineError):
    """An alias with an invalid name, or with a version that does not serve."""


class InvalidInputError(EngineError):
    """Inputs or requested outputs that do not fit the model's signature."""


class MalformedRequestError(EngineError):
    """A request that is not a message of the protocol."""


class NotExpressibleError(EngineError):
    """A value that JSON cannot hold."""

    details = MappingProxyType({"expressible_in": "binary"})


class UnsupportedError(EngineError):
    """A part of the protocol that this server does not offer."""


class RunFailedError(EngineError):
    """A run that failed although the request is valid."""


class StartupError(EngineError):
    """Something that the operator must put right before the server can start."""


class RepositoryError(StartupError):
    """A models folder that is missing, empty or unreadable."""


class StateError(StartupError):
    """A state folder that cannot be read or written, or whose file has another format."""


class ProviderError(StartupError):
    """A requested execution provider that is missing."""


class ListenError(StartupError):
    """An address that cannot be listened on."""


class ModelRefusedError(StartupError):
    """A model's file that will not be served; `detail` is for the log, never for a client."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


class PolicyError(ModelRefusedError):
    """A file that lacks what the operator requires of every model: parity, or a signature."""


class HungLoadError(ModelRefusedError):
    """A file whose loading did not end although it was told to."""


class ConfigError(ModelRefusedError):
    """A model's `config.toml` that cannot be read, or has an invalid value."""


class RegionError(EngineError):
    """Shared memory cannot be registered, or used, as a client asked."""


def quote(text: object) -> str:
    """The text in backticks, cut and made printable, since it may come from a client."""
    # reprlib, since a client's list may be too long or too deep to be written out.
    shown = text if isinstance(text, str) else reprlib.repr(text)
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[:SHOWN_CHARACTERS] + "..."
    return "`" + "".join(c if c.isprintable() else "?" for c in shown) + "`"


def quote_names(names: list[str] | tuple[str, ...]) -> str:
    """The first twenty names in backticks, or the word none."""
    shown = ", ".join(quote(name) for name in names[:20])
    return (shown + (", ..." if len(names) > 20 else "")) or "none"

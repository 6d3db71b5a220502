"""Errors of the client.

ClientError
├── InvalidAddressError     not the address of a server
├── InvalidHeaderError      a key or header that cannot be sent
├── InvalidInputError       the request does not fit the protocol or the model, or is too large
├── InvalidFileError        a file that cannot be read or written, or that does not fit the model
│   ├── ChangedFileError    an input that is not, or no longer, the one that a run began with
│   └── ResultFileError     a result that can be written no further, such as on a full disk
├── InvalidReplyError       the reply is none of the protocol
│   └── ReplyTooLargeError  the reply is larger than the client's limit
├── UnauthorizedError       no key, or a key without the right to do this
├── UnknownModelError       no such model or version, or no such path
├── UnsupportedError        a part of the protocol that the server does not offer
├── ServerFailedError       the model or the server failed
├── UnavailableError        the model or the server cannot answer now
│   └── OverloadedError     the server has too much to do, or this client asks for too much
├── UnreachableError        no answer came: no connection, or one that was cut
└── TimedOutError           no answer came in time
"""

from email.utils import parsedate_to_datetime
from http import HTTPStatus

SHOWN_CHARACTERS = 2000


class ClientError(Exception):
    """The root; the text is the server's own, `status` its HTTP status, None without an answer.

    `is_connected` is False where no connection was made; `hint` says what may help.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_seconds: float | None = None):
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.hint: str | None = None
        self.is_connected = True


class InvalidAddressError(ClientError):
    """An address that is not a server's."""


class InvalidHeaderError(ClientError):
    """A key or header that cannot be sent; it is not quoted, since it may be a secret."""


class InvalidInputError(ClientError):
    """A request that does not fit the protocol or the model, or that is too large."""


class InvalidFileError(ClientError):
    """A file of inputs or results that cannot be read or written, or that does not fit the model."""


class ChangedFileError(InvalidFileError):
    """An input that is not, or no longer, the one that a run began with."""


class ResultFileError(InvalidFileError):
    """A result that can be written no further, such as on a full disk."""


class InvalidReplyError(ClientError):
    """A reply that is none of the protocol."""


class ReplyTooLargeError(InvalidReplyError):
    """A reply that is larger than the client's limit."""


class UnauthorizedError(ClientError):
    """A key that is missing, unknown, or not allowed to do this."""


class UnknownModelError(ClientError):
    """A model, version or path that the server does not have."""


class UnsupportedError(ClientError):
    """A part of the protocol that the server does not offer."""


class ServerFailedError(ClientError):
    """A failure of the model or the server, which its log explains."""


class UnavailableError(ClientError):
    """A model or server that cannot answer now."""


class OverloadedError(UnavailableError):
    """Too many requests for the server, or for this client's share of it."""


class UnreachableError(ClientError):
    """No answer: no connection, or one that was cut."""


class TimedOutError(ClientError):
    """No answer in time."""


KINDS: dict[int, type[ClientError]] = {
    HTTPStatus.BAD_REQUEST: InvalidInputError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: UnauthorizedError,
    HTTPStatus.NOT_FOUND: UnknownModelError,
    HTTPStatus.METHOD_NOT_ALLOWED: UnsupportedError,
    HTTPStatus.CONFLICT: InvalidInputError,  # an act that an experiment's stage does not allow
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidInputError,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidInputError,
    HTTPStatus.TOO_MANY_REQUESTS: OverloadedError,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: InvalidInputError,
    HTTPStatus.NOT_IMPLEMENTED: UnsupportedError,
    # What a proxy answers while the server restarts.
    HTTPStatus.BAD_GATEWAY: UnavailableError,
    HTTPStatus.SERVICE_UNAVAILABLE: UnavailableError,
    HTTPStatus.GATEWAY_TIMEOUT: TimedOutError,
}


def make_error(status: int, message: str, retry_after_seconds: float | None) -> ClientError:
    """The error for an answer of this status."""
    kind = KINDS.get(status)
    if kind is None:
        kind = ServerFailedError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidReplyError
    if kind is UnavailableError and retry_after_seconds is not None:
        kind = OverloadedError
    return kind(message[:SHOWN_CHARACTERS], status, retry_after_seconds)


def parse_retry_after(header: str | None, now: float) -> float | None:
    """How long a `Retry-After` asks to wait, be it seconds or a date; None where it cannot be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None

"""A client of the server, or of any other that speaks the Open Inference Protocol v2: numpy in, numpy out."""

from serve.client.asynchronous import AsyncClient
from serve.client.errors import (
    ChangedFileError,
    ClientError,
    InvalidAddressError,
    InvalidFileError,
    InvalidHeaderError,
    InvalidInputError,
    InvalidReplyError,
    OverloadedError,
    ReplyTooLargeError,
    ResultFileError,
    ServerFailedError,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
    UnknownModelError,
    UnreachableError,
    UnsupportedError,
)
from serve.client.replies import (
    InferResult,
    ModelState,
    ModelStatistics,
    Predictions,
)
from serve.client.retry import Retry
from serve.client.synchronous import Client
from serve.client.transport import Transport
from serve.engine.datatypes import BFLOAT16
from serve.engine.statistics import Duration
from serve.protocol.descriptions import ModelMetadata, ServerMetadata, SizeMetadata, TensorMetadata

__all__ = [
    "BFLOAT16",
    "AsyncClient",
    "ChangedFileError",
    "Client",
    "ClientError",
    "Duration",
    "InferResult",
    "InvalidAddressError",
    "InvalidFileError",
    "InvalidHeaderError",
    "InvalidInputError",
    "InvalidReplyError",
    "ModelMetadata",
    "ModelState",
    "ModelStatistics",
    "OverloadedError",
    "Predictions",
    "ReplyTooLargeError",
    "ResultFileError",
    "Retry",
    "ServerFailedError",
    "ServerMetadata",
    "SizeMetadata",
    "TensorMetadata",
    "TimedOutError",
    "Transport",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownModelError",
    "UnreachableError",
    "UnsupportedError",
]

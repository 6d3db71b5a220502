"""The errors of HTTP/2, with the codes of RFC 9113, section 7."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Http2Error(Exception):
    """What the client sent ends the connection."""

    code = ErrorCode.PROTOCOL_ERROR


class CompressionError(Http2Error):
    """A block of headers cannot be read, nor any that follows."""

    code = ErrorCode.COMPRESSION_ERROR


class FlowControlError(Http2Error):
    """More was sent, or allowed to be sent, than a window takes."""

    code = ErrorCode.FLOW_CONTROL_ERROR


class FrameSizeError(Http2Error):
    """A frame has a length that its kind does not have."""

    code = ErrorCode.FRAME_SIZE_ERROR


class FloodError(Http2Error):
    """The client makes work for the server and none for itself."""

    code = ErrorCode.ENHANCE_YOUR_CALM

"""The errors that convert raises.

ConversionError
├── UsageError           the call itself is wrong: an option, a name or a shape that makes no sense
├── SourceError          the given file cannot be converted
├── DestinationError     the requested file cannot be written
├── ExportError          the model cannot be written as an ONNX graph, or the graph cannot be run
├── SignatureError       the file is unsigned, signed by another key, or changed since
└── ParityError          the ONNX file does not compute what the model computes
    └── PrecisionError   it loses more than allowed in lower precision
"""

from adaptact.errors import AdaptactError


class ConversionError(AdaptactError):
    """The root of this package's errors; its text fits on a terminal, whatever a file put into it."""


class UsageError(ConversionError):
    """An option, a name or a shape makes no sense as it stands."""


class SourceError(ConversionError):
    """The given file cannot be converted."""


class DestinationError(ConversionError):
    """The requested file cannot be written."""


class ExportError(ConversionError):
    """The model cannot be written as an ONNX graph, or that graph cannot be run."""


class SignatureError(ConversionError):
    """The file is unsigned, signed by another key, or changed since it was signed."""


class ParityError(ConversionError):
    """The ONNX file does not compute what the model computes; nothing was written."""

    def __init__(self, message: str, hint: str | None = None, rule: str | None = None) -> None:
        super().__init__(message, hint)
        self.rule = rule
        """The rewrite rule that broke parity, if it was one."""


class PrecisionError(ParityError):
    """The ONNX file loses more than allowed in lower precision; nothing was written."""

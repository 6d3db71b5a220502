"""Everything that convert raises on its own account.

ConversionError
├── UsageError           the call itself is wrong: an option, a name, a shape that cannot be meant
├── SourceError          the file given is not one that can be converted
├── DestinationError     the file asked for cannot be written
├── ExportError          the model cannot be written as, or run as, an ONNX graph
├── SignatureError       the file is not signed, or by another key, or was changed since
└── ParityError          the ONNX file does not compute what the model computes
"""


class ConversionError(Exception):
    """The root of this package's errors."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ConversionError):
    """An option cannot be meant as it stands."""


class SourceError(ConversionError):
    """The file given is not one that can be converted."""


class DestinationError(ConversionError):
    """The file asked for cannot be written."""


class ExportError(ConversionError):
    """The model cannot be written as an ONNX graph, or that graph cannot be run."""


class SignatureError(ConversionError):
    """The file is not signed, or by another key, or was changed since it was signed."""


class ParityError(ConversionError):
    """The ONNX file does not compute what the model computes; nothing was written."""

    def __init__(self, message: str, hint: str | None = None, rule: str | None = None) -> None:
        super().__init__(message, hint)
        self.rule = rule
        """The rewrite rule that broke it, where one did."""

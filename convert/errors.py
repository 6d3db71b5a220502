"""Everything that convert raises on its own account.

ConversionError
├── UsageError           the call itself is wrong: an option, a name, a shape that cannot be meant
├── SourceError          the file given is not one that can be converted
├── DestinationError     the file asked for cannot be written
├── ExportError          the model cannot be written as, or run as, an ONNX graph
├── SignatureError       the file is not signed, or by another key, or was changed since
└── ParityError          the ONNX file does not compute what the model computes
    └── PrecisionError   it loses more in fewer bits than it may
"""

LONGEST_MESSAGE = 2000  # characters


class ConversionError(Exception):
    """The root of this package's errors; what it says fits on a terminal, whatever a file put into it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(printable(message))
        self.hint = hint if hint is None else printable(hint)


def printable(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """The text, cut, with a mark for each character that would move a terminal's cursor or its colours."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in cut)


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


class PrecisionError(ParityError):
    """The ONNX file loses more in fewer bits than it may; nothing was written."""

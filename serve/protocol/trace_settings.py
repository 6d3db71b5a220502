"""The protocol's settings of traces to a file, which this server does not write."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from serve.engine.errors import MalformedRequestError, UnsupportedError, quote, quote_names
from serve.protocol.json_text import Value


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Nothing is traced to a file."""

    trace_level: list[str] = field(default_factory=lambda: ["OFF"])
    trace_rate: str = "1000"
    trace_count: str = "-1"
    log_frequency: str = "0"
    trace_file: str = ""


def update_trace_settings(changes: Mapping[str, Value]) -> TraceSettings:
    """The unchanged settings; null resets one, which has no effect.

    Raises `MalformedRequestError` for an unknown setting, `UnsupportedError` for one that would trace.
    """
    off = asdict(TraceSettings())
    for key, value in changes.items():
        if key not in off:
            raise MalformedRequestError(
                f"{quote(key)} is no setting of traces; known: {quote_names(list(off))}"
            )
        if value is not None and value != off[key]:
            raise UnsupportedError(
                f"traces to a file are not supported by this server; {quote(key)} cannot be {quote(value)}"
            )
    return TraceSettings()

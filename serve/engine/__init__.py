"""The engine: arrays in, arrays out; no HTTP and no web framework."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serve.engine.engine import Engine, open_engine
    from serve.engine.metrics import Metrics
    from serve.engine.options import EngineOptions

__all__ = ["Engine", "EngineOptions", "Metrics", "open_engine"]


def __getattr__(name: str) -> Any:
    """Import the name at its first use: clients need the datatypes, but not ONNX Runtime."""
    if name not in __all__:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from serve.engine import engine, metrics  # noqa: PLC0415

    return getattr(metrics if name == "Metrics" else engine, name)

"""The engine: arrays in, arrays out; no HTTP and no web framework."""

from serve.engine.engine import Engine, EngineOptions, open_engine
from serve.engine.metrics import Metrics

__all__ = ["Engine", "EngineOptions", "Metrics", "open_engine"]

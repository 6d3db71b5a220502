"""A models folder whose versions can be told apart: each multiplies by its own factor."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from serve.engine import Engine
from tests.serve import models

ROW = np.array([[1, 2, 3]], np.float32)


def make_scaling_model(factor: float) -> onnx.ModelProto:
    return models.model(
        f"m (float[N, 3] x) => (float[N, 3] y) {{ k = Constant<value = float {{{factor}}}>() y = Mul(x, k) }}"
    )


def put_scaling_model(folder: Path, factor: float, version: str = "1", name: str = "m") -> Path:
    """Write the model beside its place and move it there, as an operator should."""
    path = folder / name / version / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(".new")
    new.write_bytes(make_scaling_model(factor).SerializeToString())
    new.replace(path)
    return path


def read_factor(engine: Engine, version: str | None = None, name: str = "m") -> float:
    return float(asyncio.run(engine.run(engine.model(name, version), {"x": ROW}))["y"][0, 0])


def read_states(engine: Engine) -> dict[tuple[str, str], str]:
    return {(entry.name, entry.version): entry.state for entry in engine.index()}


def load(engine: Engine, name: str = "m", config: dict[str, Any] | None = None) -> None:
    asyncio.run(engine.load(name, config))

"""A client of a model `x -> y, length` that doubles rows, without a server; it can fail."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from serve.client import (
    Client,
    InferResult,
    ModelMetadata,
    TensorMetadata,
    UnavailableError,
    UnknownModelError,
)
from serve.engine.signature import Array


def metadata(
    shape: Sequence[int] = (-1, 3), datatype: str = "FP32", **inputs: TensorMetadata
) -> ModelMetadata:
    taken = tuple(inputs.values()) or (TensorMetadata("x", datatype, tuple(shape)),)
    given = (TensorMetadata("y", datatype, tuple(shape)), TensorMetadata("length", "INT64", (-1,)))
    return ModelMetadata("double", ("1", "10", "9"), "", taken, given)


class Doubling(Client):
    def __init__(self, model: ModelMetadata | None = None, fails_after: int | None = None) -> None:
        super().__init__("http://doubling")
        self.model = model or metadata()
        self.fails_after = fails_after
        self.asked: list[tuple[str | None, int]] = []
        self.aliases: dict[str, str] | None = None
        self._lock = Lock()

    def model_metadata(self, model: str, version: str | None = None) -> ModelMetadata:
        return self.model

    def model_aliases(self, model: str) -> dict[str, str]:
        if self.aliases is None:
            raise UnknownModelError("no such path", 404)
        return self.aliases

    def infer(self, model: str, inputs: Mapping[str, Array], **options: Any) -> InferResult:
        with self._lock:
            if self.fails_after is not None and len(self.asked) >= self.fails_after:
                raise UnavailableError("the server is away", 503)
            self.asked.append((options["version"], len(inputs["x"])))
        x = inputs["x"]
        outputs: dict[str, Array] = {"y": np.add(x, x), "length": np.full(len(x), x.shape[1], np.int64)}
        return InferResult({n: outputs[n] for n in options["outputs"] or outputs}, model, "10", "")

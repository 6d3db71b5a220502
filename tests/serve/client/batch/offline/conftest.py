from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve.client.batch.offline import shards
from serve.client.batch.offline.run import OfflineRequest, answer_in_threads, predict_offline
from serve.client.batch.run import PredictionSummary
from serve.engine.signature import Array
from tests.serve import models

GIVEN = np.random.default_rng(3).normal(size=(100, 3)).astype(np.float32)

Predict = Callable[..., PredictionSummary]


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """The file of a model `x -> y` that doubles rows of three numbers."""
    return models.put(tmp_path / "models", "double", models.model(models.DOUBLE))


@pytest.fixture
def predict(double: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Predicts a file in shards of two batches of eight rows."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 16)

    def call(source: Path, target: str = "out.npz", **options: object) -> PredictionSummary:
        answer = options.pop("answer", answer_in_threads(2))
        model = options.pop("model", double)
        request = OfflineRequest(model, source, tmp_path / target, batch=8, **options)  # type: ignore[arg-type]
        return predict_offline(request, answer, lambda done, rows: None)  # type: ignore[arg-type]

    return call


def load(path: Path) -> dict[str, Array]:
    with np.load(path) as archive:
        return dict(archive)

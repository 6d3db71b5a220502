"""Sessions and models, without an engine."""

from pathlib import Path

import onnx

from serve.engine.config import ModelConfig
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.model_files import open_files
from serve.engine.repository import ModelFile
from serve.engine.session import Session, SessionOptions
from tests.serve import models

LIMIT_BYTES = 2**24
OPTIONS = SessionOptions(threads=1)


def load_session(path: Path, options: SessionOptions = OPTIONS) -> Session:
    """The session of the file at `path`, as an engine would load it."""
    with open_files(ModelFile("m", "1", path), LIMIT_BYTES) as files:
        return Session(files, options)


def load_model(
    folder: Path, made: onnx.ModelProto, metrics: Metrics, config: ModelConfig | None = None
) -> ServedModel:
    """The model, in the folder and ready to run."""
    session = load_session(models.put(folder, "m", made))
    return ServedModel("m", "1", session, metrics.for_version("m", "1"), config or ModelConfig())

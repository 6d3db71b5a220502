from pathlib import Path

import pytest

from serve.sources.options import SourceOptions
from tests.serve.sources.doubles import MemorySource, Mirrored


@pytest.fixture
def mirrored(tmp_path: Path) -> Mirrored:
    files = {"digits/1/model.onnx": b"one", "digits/2/model.onnx": b"two", "digits/config.toml": b"# none"}
    return Mirrored(MemorySource(files), SourceOptions("s3://models", tmp_path / "copy"))

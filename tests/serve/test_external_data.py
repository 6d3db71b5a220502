"""A model that the exporter wrote with its weights beside it, served."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from convert.pipeline import convert
from serve.engine import Engine, Metrics, open_engine
from serve.engine.errors import EngineError
from tests.convert.models import classifier, save_checkpoint
from tests.serve.conftest import options

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(6))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, with the version 1 of `net` in it: two files."""
    folder = tmp_path_factory.mktemp("repository")
    version = folder / "models" / "net" / "1"
    version.mkdir(parents=True)
    manifest = convert(save_checkpoint(folder / "model.pt"), version / "model.onnx", external_data="always")
    assert manifest.data is not None
    assert sorted(path.name for path in version.iterdir()) == ["model.onnx", manifest.data.name]
    return folder / "models"


@pytest.fixture
def repository(written: Path, tmp_path: Path) -> Path:
    for path in written.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(written)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


def _opened(repository: Path) -> Iterator[Engine]:
    engine = open_engine(options(repository), Metrics(CollectorRegistry()))
    yield engine
    engine.close()


def _data(repository: Path) -> Path:
    (found,) = repository.rglob("*.data")
    return found


@pytest.mark.slow
def test_the_pair_answers_what_the_model_computes(repository: Path) -> None:
    for engine in _opened(repository):
        got = asyncio.run(engine.run(engine.model("net"), {"image": X.numpy()}))["logits"]
        expected = classifier().double()(X.double()).detach().numpy()
        np.testing.assert_allclose(got.astype(np.float64), expected, rtol=1e-5, atol=1e-6)


def test_overwritten_weights_change_nothing_while_served(repository: Path) -> None:
    for engine in _opened(repository):
        before = asyncio.run(engine.run(engine.model("net"), {"image": X.numpy()}))["logits"]
        data = _data(repository)
        data.write_bytes(bytes(data.stat().st_size))
        after = asyncio.run(engine.run(engine.model("net"), {"image": X.numpy()}))["logits"]
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("damage", ["missing", "cut", "a link"])
def test_weights_that_are_not_there_whole_are_refused(repository: Path, damage: str) -> None:
    data = _data(repository)
    content = data.read_bytes()
    data.unlink()
    if damage == "cut":
        data.write_bytes(content[:100])
    elif damage == "a link":
        (repository / "elsewhere").write_bytes(content)
        data.symlink_to(repository / "elsewhere")
    with pytest.raises(EngineError, match="net"):
        list(_opened(repository))

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from serve.engine.errors import ModelRefusedError, RepositoryError
from serve.engine.hung_files import HungFile, HungFiles
from serve.engine.repository import ModelFile, read_fingerprint
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.repositories import put_scaling_model


def _find_hung(folder: Path) -> tuple[HungFile, ...]:
    """What another process knows of version 1 of `m`, as it comes from there."""
    file = ModelFile("m", "1", folder / "m" / "1" / "model.onnx")
    found = HungFiles()
    found.add(file, read_fingerprint(file), "loading it did not end")
    return tuple(HungFile(**record) for record in json.loads(json.dumps(list(map(asdict, found.files())))))


def test_a_file_that_hung_in_another_process_is_not_tried(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_scaling_model(tmp_path, 2)
    hung = _find_hung(tmp_path)
    monkeypatch.setattr("serve.engine.model_loader.Session", None)
    with pytest.raises(RepositoryError, match="`m` version `1`: loading it did not end"):
        opened(hung_files=hung)
    engine = opened(hung_files=hung, may_start_empty=True)
    assert engine.hung_files() == hung
    assert engine.stuck is None


def test_a_file_that_has_changed_since_it_hung_is_loaded(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    hung = _find_hung(tmp_path)
    put_scaling_model(tmp_path, 3)
    models.put(tmp_path, "m", models.model(models.DOUBLE), "2")
    engine = opened(hung_files=hung)
    assert engine.versions("m") == ["1", "2"]


def test_only_the_version_that_hung_is_refused(tmp_path: Path) -> None:
    put_scaling_model(tmp_path, 2)
    file = ModelFile("m", "1", tmp_path / "m" / "1" / "model.onnx")
    hung = HungFiles(_find_hung(tmp_path))
    with pytest.raises(ModelRefusedError):
        hung.check(file, read_fingerprint(file))
    hung.check(ModelFile("m", "2", file.path), read_fingerprint(file))

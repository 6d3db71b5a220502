"""Answers of shards that differ in what they have, and reasons that name odd files."""

from pathlib import Path

import numpy as np
import pytest

from serve.client.batch.offline import model as model_room
from serve.client.batch.offline.answers import fill_rows
from serve.client.batch.offline.batches import InstanceBatch, name_row
from serve.client.batch.offline.model import LocalModel
from serve.client.batch.results import ERROR
from serve.client.errors import ClientError
from serve.engine.errors import ModelUnavailableError
from tests.serve.client.batch.offline.conftest import GIVEN, Predict


def test_answers_of_another_shape_are_not_stretched_to_the_first_ones() -> None:
    errors = np.array(["", "no"], np.object_)
    example = {"y": np.zeros((1, 5), np.float32), ERROR: errors[:1]}
    filled = fill_rows({"y": np.ones((1, 1), np.float32), ERROR: errors}, example)
    assert filled["y"].shape == (2, 1)
    assert fill_rows({ERROR: errors[1:]}, example)["y"].shape == (1, 5)


def test_rows_that_are_no_texts_say_too_that_they_were_not_cut(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_room, "cuts_texts", lambda model: True)
    answers = LocalModel(double).answer(InstanceBatch(1, [{"x": [1, 2, 3]}]), ())
    assert answers["truncated"].tolist() == [False]


def test_a_file_whose_name_has_a_backslash_is_named() -> None:
    batch = InstanceBatch(1, ["?"], (r"a\d\1.png",))
    assert name_row("`instances[0]` is broken", batch) == r"`a\d\1.png` is broken"


def test_a_model_that_is_lost_is_no_fault_of_rows(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise ModelUnavailableError("`tokenizer.json` has changed since the model was loaded")

    np.savez(tmp_path / "in.npz", x=GIVEN)
    monkeypatch.setattr(LocalModel, "answer", fail)
    with pytest.raises(ClientError, match=r"can answer no more: `tokenizer\.json` has changed"):
        predict(tmp_path / "in.npz", keep_going=True)

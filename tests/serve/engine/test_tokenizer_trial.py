from pathlib import Path

import pytest

from serve.engine.errors import ModelRefusedError
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.repositories import load
from tests.serve.tokenizers import WORDS, make_tokenizer, put_tokenizer

pytest.importorskip("tokenizers")


def _put(folder: Path, embeddings: int) -> None:
    """A model that looks up each token in a table of so many, and its tokenizer."""
    model = models.model(
        "m (int64[N, L] input_ids) => (float[N, L] y) { "
        f"t = Constant<value_floats = {[0.5] * embeddings}>() y = Gather(t, input_ids) }}"
    )
    path = put_tokenizer(folder / "m" / "1" / "tokenizer.json", make_tokenizer())
    path.with_name("model.onnx").write_bytes(model.SerializeToString())


def test_a_model_with_fewer_embeddings_than_tokens_is_refused(tmp_path: Path, opened: Opened) -> None:
    last = len(WORDS) - 1
    _put(tmp_path, last + 1)
    engine = opened()
    assert engine.model("m").description.tokenizer is not None
    _put(tmp_path, last)
    both = f"up to `{last}`, and the model has embeddings up to `{last - 1}`"
    with pytest.raises(ModelRefusedError, match=f"`tokenizer.json` numbers its tokens {both}"):
        load(engine)

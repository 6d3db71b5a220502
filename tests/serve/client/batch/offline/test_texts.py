from pathlib import Path

import pytest

from serve.client.batch.offline.run import answer_in_threads
from tests.serve import models
from tests.serve.client.batch.offline.conftest import Predict
from tests.serve.tokenizers import make_tokenizer, put_tokenizer, texts_model, truncate


@pytest.mark.slow
def test_texts_become_tokens_in_any_form_of_file(predict: Predict, tmp_path: Path) -> None:
    model = models.put(tmp_path / "models", "texts", texts_model())
    put_tokenizer(model.with_name("tokenizer.json"), make_tokenizer(truncation=truncate(4)))
    texts = ["hello", "hello world, hello world", "world"] * 30
    (tmp_path / "in.csv").write_text("".join(f'"{text}"\n' for text in ["text", *texts]))
    (tmp_path / "in.jsonl").write_text("".join(f'"{text}"\n' for text in texts))
    results = []
    for name in ("in.csv", "in.jsonl"):
        predict(tmp_path / name, "out.csv", model=model, answer=answer_in_threads(4))
        results.append((tmp_path / "out.csv").read_text())
    header, *lines = results[0].splitlines()
    assert header.endswith(",truncated")
    assert [line.rsplit(",")[-1] for line in lines] == ["false", "true", "false"] * 30
    assert results[0] == results[1]

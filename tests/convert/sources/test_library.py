"""Models of libraries, exported as they are: with a free length, classes, preprocessing and a tokenizer."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from convert.errors import SourceError, UsageError
from convert.evidence.inspection import read_onnx_file
from convert.manifest.preprocessing import decode_preprocessing
from convert.model_io.inputs import parse_input
from convert.pipeline import convert
from convert.recheck import RecheckOptions, recheck
from convert.sources.described import GivenDescription
from convert.sources.load import load
from tests.adaptive_act.libraries import models


@pytest.mark.slow
def test_a_text_model_is_exported_with_a_free_length(tmp_path: Path) -> None:
    folder = models.write_folder(tmp_path / "bert", models.BERT)
    models.write_tokenizer(folder)
    source, file = Path(f"hf:{folder}"), tmp_path / "model.onnx"
    manifest = convert(source, file)
    assert [tensor.shape for tensor in manifest.inputs] == [("batch", "length")] * 3
    assert [tensor.below for tensor in manifest.inputs] == [16, 2, 2]
    assert [(each.name, each.low, each.high) for each in manifest.sizes] == [("length", 1, 12)]
    assert (manifest.classes, manifest.source_kind) == (("bad", "good", "犬"), "hf")
    assert '"truncation":{' in (tmp_path / "tokenizer.json").read_text()
    session = onnxruntime.InferenceSession(str(file))
    for rows, length in ((1, 1), (3, 12)):
        ids = np.full((rows, length), 4)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids}
        assert session.run(None, feeds)[0].shape == (rows, 3)
    assert recheck(source, read_onnx_file(file), RecheckOptions()).same_source is True


@pytest.mark.slow
def test_an_image_model_is_exported_with_the_users_description(tmp_path: Path) -> None:
    folder = models.write_folder(tmp_path / "vit", models.VIT, models.PROCESSOR)
    given = GivenDescription(("cat", "cat"), outputs=("scores",), without=frozenset({"preprocessing"}))
    manifest = convert(Path(f"hf:{folder}"), tmp_path / "m.onnx", given=given)
    assert (manifest.classes, manifest.preprocessing) == (("cat", "cat"), None)
    assert [tensor.name for tensor in manifest.outputs] == ["scores"]
    assert not list(tmp_path.glob("*tokenizer*"))


def test_a_model_of_timm_has_inputs_classes_and_preprocessing(tmp_path: Path) -> None:
    weights = models.write_weights(models.make_timm(5), tmp_path / "w.safetensors")
    source = load(Path("timm:test_resnet"), weights=weights)
    assert [spec.text for spec in source.inputs] == ["image:float32[batch,3,160,160]"]
    assert (source.kind, source.outputs, source.classes) == ("timm", ("logits",), None)
    assert decode_preprocessing(source.preprocessing).crop == (160, 160)
    assert "built for 5 classes, as many as its weights have" in source.notes


def test_the_users_inputs_replace_those_of_the_library() -> None:
    given = [parse_input("x:float32[N,3,64,64]")]
    source = load(Path("timm:test_resnet"), inputs=given, random_weights=True)
    assert [spec.text for spec in source.inputs] == ["x:float32[N,3,64,64]"]
    with pytest.raises(UsageError, match="describes 2 inputs, and the model takes `image`"):
        load(Path("timm:test_resnet"), inputs=[*given, parse_input("y:int64[N]")], random_weights=True)


def test_what_belongs_to_the_other_kind_of_source_is_wrong_use(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(
        UsageError, match=r"weights are given for a model of a library, and `.*w.pt` is not named as one"
    ):
        load(tmp_path / "w.pt", weights=tmp_path / "w.pt")
    with pytest.raises(UsageError, match="names the model, and so does `--factory`"):
        load(Path("timm:test_resnet"), "a:b", random_weights=True)
    with pytest.raises(UsageError, match="nothing is downloaded"):
        load(Path("timm:test_resnet"))
    with pytest.raises(SourceError, match="cannot read `tim:test_resnet`") as refused:
        load(Path("tim:test_resnet"))
    assert refused.value.hint == "did you mean `timm:test_resnet`?"
    with pytest.raises(UsageError, match="is not named as one") as wrong:
        load(Path("torchvison:resnet50"), random_weights=True)
    assert wrong.value.hint == "did you mean `torchvision:resnet50`?"
    with pytest.raises(SourceError, match="has no model `no_such_model`"):
        load(Path("timm:no_such_model"), random_weights=True)

"""Models of transformers itself, from folders as `save_pretrained` writes them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptact.errors import UsageError
from adaptive_act.checkpoint.factory import build_model, resolve_factory
from adaptive_act.errors import AdaptiveActError, CheckpointError, LibraryError
from adaptive_act.libraries.library_model import DescribedModel, LibraryRequest
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.transformers_models import build
from tests.adaptive_act.libraries.models import BERT, PROCESSOR, VIT, write_folder, write_tokenizer


def _load(folder: Path, **options: Any) -> DescribedModel:
    return load_library_model(f"hf:{folder}", LibraryRequest("", **options))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_folder(tmp_path_factory.mktemp("bert"), BERT)
    write_tokenizer(folder)
    return folder


def _copy(folder: Path, target: Path, **config: Any) -> Path:
    target.mkdir(exist_ok=True)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    (target / "config.json").write_text(json.dumps(BERT | config))
    return target


def test_a_text_model_has_a_free_length_and_its_classes(bert: Path) -> None:
    loaded = _load(bert)
    assert [spec.name for spec in loaded.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    assert {spec.shape for spec in loaded.inputs} == {(None, "length")}
    assert loaded.classes == ("bad", "good", "犬")
    assert loaded.longest == {"length": 12}
    assert loaded.below == {"attention_mask": 2}
    assert loaded.files == (bert / "config.json", bert / "model.safetensors")
    weight = load_file(bert / "model.safetensors")["classifier.weight"]
    torch.testing.assert_close(loaded.model.get_parameter("classifier.weight").data, weight, rtol=0, atol=0)


def test_the_tokenizer_cuts_and_fills_by_itself(bert: Path) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_str(str(_load(bert).tokenizer))
    short, long = tokenizer.encode_batch(["good", "good day " * 40])
    assert (short.ids[:4], set(short.ids[3:])) == ([2, 4, 3, 0], {0})
    assert len(short.ids) == len(long.ids) == 12
    assert short.attention_mask[:4] == [1, 1, 1, 0]


def test_the_factory_of_the_result_builds_the_same_without_the_folder(bert: Path) -> None:
    loaded = _load(bert)
    kwargs = json.loads(json.dumps(loaded.factory_kwargs))
    again = build_model(resolve_factory(loaded.factory, trusted=False), kwargs)
    again.load_state_dict(loaded.model.state_dict())


def test_inputs_in_another_order_than_the_forwards_go_by_name(tmp_path: Path) -> None:
    config = {
        "architectures": ["GPT2ForSequenceClassification"],
        "model_type": "gpt2",
        **{"vocab_size": 16, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 1, "pad_token_id": 0},
        **{"bos_token_id": 1, "eos_token_id": 1},
    }
    loaded = _load(write_folder(tmp_path / "gpt2", config))
    ids, mask = torch.tensor([[3, 4, 5]]), torch.tensor([[1, 1, 0]])
    expected = loaded.model.model(input_ids=ids, attention_mask=mask).logits  # type: ignore[operator]
    torch.testing.assert_close(loaded.model(ids, mask).logits, expected)
    assert any("no tokenizer.json" in note for note in loaded.notes)


def test_an_image_model_has_its_processors_steps(tmp_path: Path) -> None:
    loaded = _load(write_folder(tmp_path / "vit", VIT, PROCESSOR))
    assert loaded.inputs[0].shape == (None, 3, 16, 16)
    assert loaded.preprocessing == {
        "color": "RGB",
        "layout": "NCHW",
        "resize": [16, 16],
        "interpolation": "bicubic",
        "scale": 1 / 255,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.5, 0.6, 0.7],
    }
    assert loaded.classes is None  # LABEL_0 and LABEL_1 are nobody's names
    assert any("classes are not named: " in note and "--classes" in note for note in loaded.notes)


def test_shards_are_read_by_their_index(bert: Path, tmp_path: Path) -> None:
    folder = _copy(bert, tmp_path / "sharded")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({name: state[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [path.name for path in _load(folder).files] == ["config.json", *parts]
    index["weight_map"][names[0]] = "../elsewhere.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(LibraryError, match="expected files in the folder itself"):
        _load(folder)


def test_weights_of_half_precision_are_taken_as_float32(bert: Path, tmp_path: Path) -> None:
    folder = _copy(bert, tmp_path / "half", dtype="bfloat16")
    state = {name: value.bfloat16() for name, value in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    loaded = _load(folder)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert "weights in bfloat16 taken as float32" in loaded.notes


def test_code_that_the_folder_names_never_runs(bert: Path, tmp_path: Path) -> None:
    folder = _copy(bert, tmp_path / "own", auto_map={"AutoModel": "evil.BertForSequenceClassification"})
    (folder / "evil.py").write_text("raise SystemExit('imported')")
    assert type(_load(folder).model).__module__.startswith("transformers.")
    _copy(bert, folder, auto_map={"AutoModel": "evil.Own"}, architectures=["Own"])
    with pytest.raises(LibraryError, match="code of the folder's own, which never runs"):
        _load(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architectures": ["BertForSequenceClasification"]}, "has no model `BertForSequenceClasification`"),
        ({"architectures": ["__doc__"]}, "has no model"),
        ({"architectures": ["os.system"]}, "has no model"),
        ({"architectures": ["BertConfig"]}, "has no model"),
        ({"architectures": []}, "has no `architectures`"),
        ({"architectures": "Bert"}, "has no `architectures`"),
        ({"model_type": "vit"}, "`model_type` is `vit`, and `BertForSequenceClassification` is of `bert`"),
        ({"quantization_config": {"bits": 4}}, "asks for `quantization_config`"),
        ({"backbone": "hf-hub:some/one"}, "asks for `backbone`"),
        ({"vision_config": {"use_timm_backbone": True}}, "asks for `use_timm_backbone`"),
        ({"num_hidden_layers": 2}, "lacks|do not fit"),
        ({"num_hidden_layers": 10**9}, "layers, expected at most"),
        ({"num_hidden_layers": 5000}, "5000 layers, and the weights"),
        ({"hidden_size": 2**20, "intermediate_size": 2**20}, r"bytes as it is built|in another shape"),
        ({"vocab_size": 10**12}, r"bytes as it is built|in another shape"),
        ({"num_attention_heads": 3}, "transformers cannot build"),
        ({"hidden_act": "no_such"}, "transformers cannot build"),
        ({"id2label": {"0": "a", "2": "b", "3": "c"}}, "`id2label` has no name for class 1, expected"),
        ({"id2label": {"0": "a", "1": " ", "2": "c"}}, "`id2label` has ` ` as the name of class 1, expected"),
    ],
)
def test_a_config_that_is_not_the_models_is_refused(
    config: dict[str, Any], message: str, bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(AdaptiveActError, match=message):
        _load(_copy(bert, tmp_path / "wrong", **config))


def test_a_checkpoint_may_name_no_more_than_a_folder() -> None:
    with pytest.raises(LibraryError, match="asks for `backbone`"):
        build("BertForSequenceClassification", BERT | {"backbone": "hf-hub:some/one"}, ["input_ids"])
    timm = {"model_type": "timm_wrapper", "architecture": "hf-hub:some/one"}
    with pytest.raises(LibraryError, match="that of a model of timm"):
        build("TimmWrapperForImageClassification", timm, ["pixel_values"])
    with pytest.raises(LibraryError, match="has no model `Trainer`"):
        build("Trainer", {}, [])


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_config_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(LibraryError, match=r"is not JSON|expected a JSON object"):
        _load(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path, bert: Path) -> None:
    with pytest.raises(LibraryError, match=r"has no config.json, expected a folder as `save_pretrained`"):
        _load(tmp_path)
    with pytest.raises(LibraryError, match="is no folder") as refused:
        _load(bert.with_name(bert.name + "x"))
    assert "did you mean" in str(refused.value.hint)
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    with pytest.raises(LibraryError, match=r"has no weights, expected `model.safetensors` or"):
        _load(tmp_path)
    with pytest.raises(UsageError, match="not an option of a folder of transformers"):
        _load(bert, options={"num_labels": 3})


def test_a_damaged_tokenizer_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = _copy(bert, tmp_path / "damaged")
    (folder / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(LibraryError, match="is no tokenizer"):
        _load(folder)


def test_weights_of_another_model_are_named(bert: Path, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="it lacks `bert"):
        _load(bert, weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("change", "described"),
    [
        ({"do_center_crop": True, "crop_size": {"height": 9, "width": 9}}, True),
        ({"do_rescale": False, "do_normalize": False}, True),
        ({"do_resize": False}, False),
        ({"image_processor_type": "NoSuchProcessor"}, False),
        ({"resample": 99}, False),
        (
            {
                "image_processor_type": "ConvNextImageProcessor",
                "size": {"shortest_edge": 16},
                "crop_pct": 0.875,
            },
            True,
        ),
        ({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 17}}, False),
        (
            {
                "image_processor_type": "CLIPImageProcessor",
                "size": {"shortest_edge": 17},
                **{"do_center_crop": True, "crop_size": {"height": 16, "width": 16}},
            },
            True,
        ),
    ],
)
def test_images_are_described_only_as_the_processor_prepares_them(
    change: dict[str, Any], described: bool, tmp_path: Path
) -> None:
    from adaptive_act.libraries.transformers_images import describe_images  # noqa: PLC0415

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | change))
    found, problem = describe_images(tmp_path)
    assert (found is not None, problem is None) == (described, described), problem

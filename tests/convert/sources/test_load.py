import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert.errors import SourceError, UsageError
from convert.model_io.inputs import InputSpec, parse_input
from convert.sources.load import load
from convert.sources.source import compute_digest
from convert.sources.state import PickleWarning
from tests.convert.models import IMAGES, classifier, save_checkpoint

FACTORY = "tests.convert.models:classifier"


def test_a_checkpoint_gives_its_model_inputs_and_names(tmp_path: Path) -> None:
    source = load(save_checkpoint(tmp_path / "m.pt"))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(source.model(x), classifier()(x))
    assert source.inputs == (InputSpec("image", "float32", ("batch", 3, 8, 8)),)
    assert source.outputs == ("logits",)
    assert source.classes == ("a", "b", "c", "d")
    assert not source.model.training


def test_the_users_inputs_override_the_checkpoints(tmp_path: Path) -> None:
    assert load(save_checkpoint(tmp_path / "m.pt"), inputs=[IMAGES]).inputs == (IMAGES,)


def test_learned_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = classifier()
    state = {
        name: value * torch.nan if ".log_a" in name else value for name, value in model.state_dict().items()
    }
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(SourceError, match="the learned `log_a` of activation `2` is not finite"):
        load(tmp_path / "state.pt", FACTORY, inputs=[IMAGES])


def test_bounds_of_a_size_are_those_of_every_input(tmp_path: Path) -> None:
    inputs = [parse_input("image:float32[B>=2,3,8,8]"), parse_input("mask:bool[B<=9]")]
    source = load(save_checkpoint(tmp_path / "m.pt"), inputs=inputs)
    assert [spec.shape_text for spec in source.inputs] == ["[2<=B<=9,3,8,8]", "[2<=B<=9]"]


def test_a_bare_state_dict_needs_a_factory_and_inputs(tmp_path: Path) -> None:
    torch.save(classifier("Swish", seed=5).state_dict(), tmp_path / "s.pt")
    source = load(tmp_path / "s.pt", FACTORY, {"kind": "Swish"}, [IMAGES])
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(source.model(x), classifier("Swish", seed=5)(x))
    with pytest.raises(UsageError, match="bare state_dict"):
        load(tmp_path / "s.pt", inputs=[IMAGES])
    with pytest.raises(UsageError, match="inputs are not known"):
        load(tmp_path / "s.pt", FACTORY)


@pytest.mark.parametrize(
    ("factory", "kwargs", "reason"),
    [
        ("tests.convert.models:nothing", {}, "nothing"),
        ("no_such_module:net", {}, "no_such_module"),
        ("not a factory", {}, "not a factory"),
        (FACTORY, {"colour": 1}, "failed with .*colour"),
        ("tests.convert.models:scale_one_weight", {}, "failed with"),
        ("json:loads", {"s": "[]"}, "gave a `list`, expected an nn.Module"),
    ],
)
def test_a_users_factory_that_fails_is_wrong_use(
    tmp_path: Path, factory: str, kwargs: dict[str, object], reason: str
) -> None:
    torch.save(classifier().state_dict(), tmp_path / "s.pt")
    with pytest.raises(UsageError, match=reason):
        load(tmp_path / "s.pt", factory, kwargs, [IMAGES])


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "s.pt")
    with pytest.raises(SourceError, match=r'Missing .*"0.weight".* Unexpected .*"other.weight"'):
        load(tmp_path / "s.pt", FACTORY, {}, [IMAGES])


def test_a_recorded_factory_that_is_a_command_is_not_run(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "m.pt")
    document = torch.load(path, weights_only=True)
    document |= {"factory": "os:system", "factory_kwargs": {"command": f"touch {tmp_path / 'ran'}"}}
    torch.save(document, path)
    with pytest.raises(SourceError, match="os:system"):
        load(path)
    assert not (tmp_path / "ran").exists()


class Pickled(nn.Linear):
    """A module that is pickled whole."""


def _write_truncated(path: Path) -> None:
    save_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-2000])


def _write_broken_torchscript(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"model/{name}", "")


def _write_broken_program(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/models/model.json", json.dumps({}))


def _write_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def _write_npy(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_write_truncated, "truncated or damaged"),
    "pickled module": (lambda path: torch.save(Pickled(2, 2), path), "model.pt"),
    "pickled module, old format": (
        lambda path: torch.save(Pickled(2, 2), path, _use_new_zipfile_serialization=False),
        "model.pt",
    ),
    "damaged TorchScript": (_write_broken_torchscript, "truncated or damaged|a TorchScript archive"),
    "damaged pt2": (_write_broken_program, r"truncated or damaged|a torch.export archive"),
    "damaged ONNX": (lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch"), "an ONNX model and"),
    "safetensors": (lambda path: path.write_bytes(b"\x07" + b"\0" * 7 + b'{"a":1}'), "truncated or damaged"),
    "HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5"),
    "NumPy": (_write_npy, "a NumPy array"),
    "another zip": (_write_archive, "did not write"),
    "text": (lambda path: path.write_text("just words"), "not a file that `torch.save` writes"),
    "one byte": (lambda path: path.write_bytes(b"\x08"), "not a file that `torch.save` writes"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "a list of tensors": (lambda path: torch.save([torch.zeros(2)], path), "state_dict"),
    "missing": (lambda path: None, "cannot read"),
    "a folder": (lambda path: path.mkdir(), "cannot read"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_by_kind_in_one_line(tmp_path: Path, kind: str) -> None:
    write, reason = FOREIGN[kind]
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(SourceError, match=reason) as refused:
        load(path, FACTORY, {}, [IMAGES])
    assert "\n" not in str(refused.value)


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert (
        compute_digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_refusal_ends_with_a_command_that_works(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(nn.Sequential(nn.Linear(4, 2)), path)
    with pytest.raises(SourceError) as refused:
        load(path, inputs=[parse_input("x:float32[N,4]")])
    assert "adaptact export whole.pt model.onnx --allow-pickle --input 'x:float32[N,3,32,32]'" in str(
        refused.value.hint
    )
    with pytest.warns(PickleWarning, match="runs code"):
        source = load(path, inputs=[parse_input("x:float32[N,4]")], allow_pickle=True)
    assert source.kind == "pickled module"


def test_a_pickle_of_scikit_learn_is_told_how_it_is_converted(tmp_path: Path) -> None:
    (tmp_path / "guests.pkl").write_bytes(b"\x80\x04csklearn.pipeline\nPipeline\n.")
    with pytest.raises(SourceError, match=r"guests\.pkl") as refused:
        load(tmp_path / "guests.pkl")
    assert "pip install skl2onnx; onnx = skl2onnx.to_onnx(model" in str(refused.value.hint)


def test_a_safe_pickle_is_not_loaded_freely(tmp_path: Path) -> None:
    source = load(save_checkpoint(tmp_path / "m.pt"), allow_pickle=True)
    assert source.kind == "checkpoint"


@pytest.mark.parametrize("content", [b"\x80\x04N.", b"\x80\x04cno_such_module\nThing\n."])
def test_an_allowed_pickle_of_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.warns(PickleWarning), pytest.raises(SourceError, match=r"m\.pt"):
        load(tmp_path / "m.pt", inputs=[IMAGES], allow_pickle=True)


def test_each_source_names_its_kind(tmp_path: Path) -> None:
    torch.save(classifier().state_dict(), tmp_path / "s.pt")
    assert load(tmp_path / "s.pt", FACTORY, {}, [IMAGES]).kind == "state_dict"
    assert load(save_checkpoint(tmp_path / "m.pt")).kind == "checkpoint"

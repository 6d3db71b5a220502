"""What `save` writes, `load` gives back; anything else is refused with one clear message."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adaptive_act import (
    MPELU,
    NEAAF,
    PELU,
    Affine,
    CheckpointError,
    FactoryError,
    PReLU,
    Swish,
    TensorSpec,
    load,
    save,
    swap,
)
from adaptive_act.checkpoint.archive import read_archive
from adaptive_act.checkpoint.description import is_checkpoint
from adaptive_act.checkpoint.state import require_state
from tests.adaptive_act import models

IMAGE = torch.randn(2, 3, 8, 8)
INPUTS = [{"name": "image", "dtype": "float32", "shape": [None, 3, 8, 8]}]
FACTORY = "tests.adaptive_act.models:build_modules"
SWAPS: list[dict[type[nn.Module], Any]] = [
    {nn.ReLU: PReLU, nn.ELU: PELU, nn.SiLU: Swish},
    {nn.ReLU: MPELU, nn.ELU: NEAAF, nn.SiLU: Affine},
]


def _moved(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.rand_like(parameter), alpha=0.1)
    return model.eval()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", SWAPS)
def test_a_swapped_and_trained_model_comes_back(
    activations: dict[type[nn.Module], Any], per_channel: bool, tmp_path: Path
) -> None:
    swapped = swap(models.Modules(5), activations, per_channel=per_channel, example=IMAGE)
    model = _moved(swapped.model)
    path = tmp_path / "model.pt"
    save(
        model,
        path,
        factory=models.build_modules,
        factory_kwargs={"width": 5},
        inputs=INPUTS,
        outputs=["logits"],
        classes=["a", "b", "c", "d"],
        preprocessing={"scale": 0.5},
    )
    loaded = load(path)
    assert torch.equal(loaded.model(IMAGE), model(IMAGE))
    assert not loaded.model.training
    assert loaded.inputs == (TensorSpec("image", "float32", (None, 3, 8, 8)),)
    assert (loaded.outputs, loaded.classes) == (("logits",), ("a", "b", "c", "d"))
    assert loaded.preprocessing == {"scale": 0.5}
    assert loaded.swap == swapped.report.changed
    assert is_checkpoint(read_archive(path))


@pytest.mark.parametrize("kind", [models.Functional, models.Reused, models.Nested])
def test_swapped_calls_come_back(kind: type[nn.Module], tmp_path: Path) -> None:
    vector = torch.randn(3, 4)
    done = swap(kind(), {nn.ReLU: PReLU, nn.ELU: MPELU}, example=vector)
    model = _moved(done.model)
    spec = [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    save(model, tmp_path / "model.pt", factory=kind, inputs=spec)
    assert torch.equal(load(tmp_path / "model.pt").model(vector), model(vector))


def test_a_model_of_another_precision_comes_back(tmp_path: Path) -> None:
    model = _moved(models.Modules().double())
    save(model, tmp_path / "model.pt", factory=FACTORY, inputs=INPUTS)
    assert torch.equal(load(tmp_path / "model.pt").model(IMAGE.double()), model(IMAGE.double()))


def test_each_tensor_comes_back_in_its_own_precision(tmp_path: Path) -> None:
    model = _moved(models.Modules())
    model.features.half()
    save(model, tmp_path / "model.pt", factory=FACTORY, inputs=INPUTS)
    loaded = load(tmp_path / "model.pt").model.state_dict()
    assert {name: tensor.dtype for name, tensor in loaded.items()} == {
        name: tensor.dtype for name, tensor in model.state_dict().items()
    }
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


def test_a_model_without_parameters_comes_back(tmp_path: Path) -> None:
    save(models.Plain(), tmp_path / "model.pt", factory=models.Plain, inputs=INPUTS)
    assert torch.equal(load(tmp_path / "model.pt").model(IMAGE), IMAGE.relu())


def test_an_activation_in_a_shared_block_is_saved_once(tmp_path: Path) -> None:
    vector = torch.randn(3, 4)
    model = _moved(swap(models.Twice(), {nn.ReLU: PReLU}, example=vector).model)
    path = tmp_path / "model.pt"
    save(model, path, factory=models.Twice, inputs=[{"name": "x", "dtype": "float32", "shape": [None, 4]}])
    content = read_archive(path)
    assert len(content["swap"]) == 1
    assert torch.equal(load(path).model(vector), model(vector))
    torch.save(content | {"swap": content["swap"] * 2}, path)  # as it was written before
    assert torch.equal(load(path).model(vector), model(vector))


@pytest.mark.parametrize(
    ("model", "name"), [(models.Remembering, "_extra_state"), (models.quantised, "0._packed_params.dtype")]
)
def test_a_state_that_is_more_than_tensors_is_not_saved(
    model: Callable[[], nn.Module], name: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"`{name}` in the state_dict .* expected a dense tensor"):
        save(model(), tmp_path / "model.pt", factory=model, inputs=INPUTS)
    assert not list(tmp_path.iterdir())


def test_a_model_that_would_lose_precision_is_not_saved(tmp_path: Path) -> None:
    model = models.Renaming()
    save(model.double(), tmp_path / "model.pt", factory=models.Renaming, inputs=INPUTS)
    assert load(tmp_path / "model.pt").model.weight.dtype == torch.float64
    model.bias.data = model.bias.data.float()
    with pytest.raises(CheckpointError, match=r"`w` is torch.float64 and comes back as torch.float32"):
        save(model, tmp_path / "m.pt", factory=models.Renaming, inputs=INPUTS)
    assert not (tmp_path / "m.pt").exists()


def test_a_bare_state_dict_is_read(tmp_path: Path) -> None:
    model = models.Modules()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    content = read_archive(tmp_path / "state.pt")
    state = require_state(content, "state.pt")
    assert state.keys() == model.state_dict().keys()
    assert not is_checkpoint(content)
    with pytest.raises(CheckpointError, match="found a bare state_dict; a bare state_dict needs"):
        load(tmp_path / "state.pt")


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="tensors do not fit the architecture"):
        save(models.Modules(5), tmp_path / "model.pt", factory=FACTORY, inputs=INPUTS)
    with pytest.raises(FactoryError, match=r"gave a `int`, expected an nn.Module"):
        save(models.Modules(), tmp_path / "m.pt", factory=models.not_a_model, inputs=INPUTS)
    with pytest.raises(FactoryError, match=r"failed with {'depth': 3}"):
        save(models.Modules(), tmp_path / "m.pt", factory=FACTORY, factory_kwargs={"depth": 3}, inputs=INPUTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "", "dtype": "float32", "shape": [1]}, "an input needs a name"),
        ({"name": "x", "dtype": "float", "shape": [1]}, "expected a dtype of"),
        ({"name": "x", "dtype": "float32", "shape": [0]}, "expected positive sizes, names or None"),
    ],
)
def test_a_wrong_input_description_is_not_saved(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        save(models.Modules(), tmp_path / "model.pt", factory=FACTORY, inputs=[wrong])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": INPUTS * 2}, "field `inputs` should describe inputs: two have the same name"),
        ({"outputs": ["y", "y"]}, "field `outputs` should hold names: one is empty or there twice"),
        ({"classes": ["cat", None]}, "field `classes` should hold names"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        save(models.Modules(), tmp_path / "model.pt", **{"factory": FACTORY, "inputs": INPUTS} | wrong)
    assert not list(tmp_path.iterdir())


def test_an_unmarked_factory_warns_and_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.warns(UserWarning, match="not marked"):
        save(models.Modules(), path, factory=models.unmarked, inputs=INPUTS)
    with pytest.raises(FactoryError, match=r"neither an nn.Module class nor marked"):
        load(path)
    assert isinstance(load(path, factory=models.unmarked).model, models.Modules)
    assert isinstance(load(path, factory="tests.adaptive_act.models:unmarked").model, models.Modules)


def _saved(path: Path) -> dict[str, Any]:
    save(swap(models.Modules(), {nn.ReLU: PReLU}).model, path, factory=FACTORY, inputs=INPUTS)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


SITE = {"layer": "features.1", "replaced": "ReLU()", "activation": "PReLU"}
SEEING = {"activation": "DYReLU", "options": {"reduction": 1}}
TAMPERED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"format": "adaptact/9"}, CheckpointError, "has format `adaptact/9`, this version reads `adaptact/1`"),
    ({"factory": "os:system", "factory_kwargs": {"command": "id"}}, FactoryError, "not run"),
    ({"factory": None}, CheckpointError, "field `factory` should be str, found NoneType"),
    ({"factory": "gone.away:fn"}, FactoryError, "`gone.away:fn`"),
    ({"factory_kwargs": {"width": "x"}}, FactoryError, "failed with"),
    ({"factory_kwargs": {"width": 7}}, CheckpointError, "tensors do not fit"),
    ({"state_dict": {"a": 1}}, CheckpointError, "should map names to tensors"),
    ({"swap": [{"layer": "x"}]}, CheckpointError, "recorded swap does not fit"),
    ({"swap": [SITE | {"layer": 3}]}, CheckpointError, "wrong type"),
    ({"swap": [SITE | {"layer": "no.such"}]}, CheckpointError, "expected a module `no`"),
    ({"swap": [SITE | {"layer": "nowhere"}]}, CheckpointError, "expected an activation `nowhere`"),
    ({"swap": [SITE | {"activation": "Evil"}]}, CheckpointError, "unknown activation `Evil`"),
    ({"swap": [SITE | {"options": {"a": "x"}}]}, CheckpointError, "recorded swap"),
    ({"swap": [SITE | {"channels": 10**12}]}, CheckpointError, "at most"),
    ({"swap": [SITE | {"call": "relu", "layer": "r"}]}, CheckpointError, "expected a call named `relu`"),
    ({"swap": [SITE | {"call": "relu", "layer": ""}]}, CheckpointError, "recorded swap"),
    ({"swap": [SITE | {"call": "relu", "owner": "nowhere"}]}, CheckpointError, "recorded swap"),
    ({"swap": [SITE | {"options": {"a": 10**400}}]}, CheckpointError, "recorded swap"),
    ({"swap": [SITE | SEEING | {"channels": 2**20}]}, CheckpointError, "bytes while it is built"),
    ({"swap": [SITE, SITE | {"activation": "PELU"}]}, CheckpointError, r"`features.1` is recorded twice"),
    ({"swap": [SITE | {"layer": str(n)} for n in range(99)]}, CheckpointError, "99 activations are recorded"),
    ({"factory_kwargs": {"width": 10**7}}, CheckpointError, "bytes while it is built"),
    ({"state_dict": {"a": torch.empty(10**12, device="meta")}}, CheckpointError, "should map names to"),
    ({"state_dict": {"a": torch.eye(3).to_sparse()}}, CheckpointError, "should map names to tensors"),
    ({"swap": [SITE | SEEING | {"channels": -1}]}, CheckpointError, "at most"),
    ({"inputs": [{"name": "x"}]}, CheckpointError, "keys name, dtype and shape"),
    ({"inputs": [{"name": "x", "dtype": "f", "shape": []}]}, CheckpointError, "expected a dtype of"),
    ({"inputs": [{"name": "x", "dtype": "float32", "shape": 3}]}, CheckpointError, "a list as shape"),
    ({"inputs": 2 * [{"name": "x", "dtype": "int8", "shape": []}]}, CheckpointError, "have the same name"),
    ({"outputs": [1]}, CheckpointError, "field `outputs` should hold names"),
    ({"outputs": ["y", "y"]}, CheckpointError, "field `outputs` should hold names: one is empty or there"),
    ({"outputs": [""]}, CheckpointError, "field `outputs` should hold names: one is empty or there twice"),
    ({"classes": [None]}, CheckpointError, "field `classes` should hold names: it holds something else"),
    ({"classes": ["\ud800"]}, CheckpointError, "field `classes` should hold names: it must be JSON-able"),
    ({"preprocessing": {"mean": torch.zeros(3)}}, CheckpointError, "field `preprocessing` should be JSON"),
    ({"preprocessing": {"mean": math.nan}}, CheckpointError, "field `preprocessing` should be JSON"),
    ({"preprocessing": {"a": {1, 2}}}, CheckpointError, "field `preprocessing` should be JSON"),
    ({"factory_kwargs": {"a": b"x"}}, CheckpointError, "field `factory_kwargs` should be JSON"),
]


def test_a_layers_name_in_the_file_is_never_run_as_code(tmp_path: Path) -> None:
    """The name of a swapped call is written into the forward that is generated for its owner."""
    path, flag = tmp_path / "model.pt", tmp_path / "flag"
    spec = [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    model = swap(models.Functional(), {nn.ReLU: PReLU}).model
    save(model, path, factory=models.Functional, inputs=spec)
    content = torch.load(path, weights_only=True)
    command = f"open({str(flag)!r}, 'w')".replace(".", "\\x2e")
    name = f'training") or exec("{command}") or abs#'
    content["swap"][0]["layer"] = name
    content["state_dict"] = {
        key.replace("relu_call", name): value for key, value in content["state_dict"].items()
    }
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="expected an identifier as the name"):
        load(path).model(torch.zeros(1, 4))
    assert not flag.exists()


@pytest.mark.parametrize(("change", "error", "message"), TAMPERED, ids=lambda value: str(value)[:40])
def test_a_tampered_file_is_refused(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    torch.save(_saved(path) | change, path)
    with pytest.raises(error, match=message):
        load(path)


@pytest.mark.parametrize("field", ["outputs", "classes", "preprocessing"])
def test_an_optional_field_may_be_absent(field: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = _saved(path)
    del content[field]
    torch.save(content, path)
    assert getattr(load(path), field) is None


@pytest.mark.parametrize("field", ["state_dict", "factory", "factory_kwargs", "swap", "inputs"])
def test_an_absent_field_is_named(field: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = _saved(path)
    del content[field]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"field `{field}` should be .* found NoneType"):
        load(path)

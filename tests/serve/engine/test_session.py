from pathlib import Path

import numpy as np
import onnx
import pytest

from serve.engine.datatypes import BFLOAT16, DATATYPES, Datatype
from serve.engine.errors import InvalidInputError, ModelRefusedError
from serve.engine.providers import make_run_options
from serve.engine.session import SESSION_ERRORS, Session
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.engine.loading import load_session

VALUES: dict[str, Array] = {
    "BOOL": np.array([[True, False]]),
    "BYTES": np.array([["", "naïve\0text"]], np.object_),
    # 1.0 and -2.0: the upper halves of their float32 bits.
    "BF16": np.array([[(0x3F80,), (0xC000,)]], BFLOAT16),
}


def _session(folder: Path, made: onnx.ModelProto | bytes) -> Session:
    return load_session(models.put(folder, "m", made))


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_every_datatype_passes_through_a_model_unchanged(tmp_path: Path, datatype: Datatype) -> None:
    session = _session(tmp_path, models.identity_model(datatype.name))
    given = VALUES.get(datatype.name, np.array([[1, 100]], datatype.dtype))
    [got] = session.run({"x": given}, ["y"])
    assert got.dtype == datatype.dtype
    assert got.tolist() == given.tolist()
    assert session.signature.inputs[0].datatype is datatype
    assert session.signature.inputs[0].shape == ("N", 2)


def test_an_empty_bfloat16_tensor_passes_through(tmp_path: Path) -> None:
    session = _session(tmp_path, models.identity_model("BF16"))
    [got] = session.run({"x": np.zeros((0, 2), BFLOAT16)}, ["y"])
    assert got.shape == (0, 2)


@pytest.mark.parametrize(
    "made",
    [b"", b"not a model", models.model(models.DOUBLE).SerializeToString()[:-20]],
    ids=["empty", "foreign", "truncated"],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, made: bytes) -> None:
    with pytest.raises(ModelRefusedError, match="ONNX Runtime cannot load it"):
        _session(tmp_path, made)


def test_operators_that_are_not_known_are_refused(tmp_path: Path) -> None:
    made = models.model(models.UNKNOWN_OPERATOR)
    with pytest.raises(ModelRefusedError) as refused:
        _session(tmp_path, made)
    assert "Nonsense" in refused.value.detail


def test_operators_of_a_domain_of_their_own_are_refused(tmp_path: Path) -> None:
    made = models.model(models.UNKNOWN_OPERATOR)
    made.opset_import.add(domain="my.operators", version=1)
    made.graph.node[0].domain = "my.operators"
    with pytest.raises(ModelRefusedError) as refused:
        _session(tmp_path, made)
    assert "my.operators:Nonsense" in refused.value.detail


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    made = models.model("sequence (float[N] x) => (seq(float[N]) y) { y = SequenceConstruct(x) }")
    with pytest.raises(ModelRefusedError, match=r"output `y` has type `seq\(tensor\(float\)\)`"):
        _session(tmp_path, made)


def test_a_tensor_of_a_type_outside_the_protocol_is_refused(tmp_path: Path) -> None:
    made = models.model("eight (float[N] x) => (float8e4m3fn[N] y) { y = Cast<to = 17>(x) }")
    with pytest.raises(ModelRefusedError, match="output `y` has type"):
        _session(tmp_path, made)


def test_external_data_beside_the_model_are_loaded(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("w.bin"))
    path.with_name("w.bin").write_bytes(np.array([5, 6], np.float32).tobytes())
    [got] = load_session(path).run({"x": np.zeros(2, np.float32)}, ["y"])
    assert got.tolist() == [5, 6]


@pytest.mark.parametrize(
    "location", ["../secret", "inner/../../secret", "{folder}/m/secret", "link", "inner/secret", "missing"]
)
def test_external_data_outside_the_models_own_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = models.put(tmp_path, "m", models.with_external_data(location.format(folder=tmp_path)))
    secret = path.parent.with_name("secret")
    secret.write_bytes(bytes(8))
    path.with_name("link").symlink_to(secret)
    path.with_name("inner").symlink_to(secret.parent)
    with pytest.raises(ModelRefusedError) as refused:
        load_session(path)
    assert str(tmp_path) not in str(refused.value)


def test_a_run_ends_at_the_next_operator_once_it_is_told_to(tmp_path: Path) -> None:
    session = _session(tmp_path, models.slow_model(turns=1000))
    options = make_run_options()
    options.terminate = True
    with pytest.raises(SESSION_ERRORS, match="terminate flag"):
        session.run({"x": np.zeros(1, np.float32)}, ["y"], options)
    assert session.run({"x": np.zeros(1, np.float32)}, ["y"])


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3)])
def test_an_empty_tensor_does_not_reach_a_recurrent_layer(
    tmp_path: Path, layer: str, shape: tuple[int, ...]
) -> None:
    gates = {"LSTM": 4, "GRU": 3}[layer]
    text = f"""recurrent (float[T, N, 3] x) => (float[T, D, N, 1] y) {{
        w = Constant<value = float[1, {gates}, 3] {{{", ".join(["0.5"] * gates * 3)}}}>()
        r = Constant<value = float[1, {gates}, 1] {{{", ".join(["0.5"] * gates)}}}>()
        y = {layer}<hidden_size = 1>(x, w, r)
    }}"""
    session = _session(tmp_path, models.model(text))
    assert session.run({"x": np.ones((2, 2, 3), np.float32)}, ["y"])[0].shape == (2, 1, 2, 1)
    with pytest.raises(InvalidInputError, match="no elements"):
        session.run({"x": np.zeros(shape, np.float32)}, ["y"])


def test_dictionaries_of_probabilities_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        ModelRefusedError, match=r"output `zipped` has type .* `adaptact export` makes a tensor"
    ):
        _session(tmp_path, models.table_model(zipped=True))

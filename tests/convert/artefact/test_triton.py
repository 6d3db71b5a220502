"""The configuration, read back by the schema that Triton's own client has."""

import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tritonclient
from google.protobuf import text_format

from convert.artefact.triton import render_config
from convert.errors import UsageError
from convert.manifest.manifest import Manifest, SetRecord, TensorRecord
from convert.manifest.size_bounds import SizeBounds
from tests.convert.manifest.test_manifest import MANIFEST


@pytest.fixture(scope="module")
def schema() -> ModuleType:
    """Loaded by its path: the package around it wants gRPC, which reading a configuration does not."""
    path = Path(tritonclient.__path__[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _make_manifest(inputs: tuple[TensorRecord, ...], outputs: tuple[TensorRecord, ...]) -> Manifest:
    sets = tuple(SetRecord(f"typical, batch {size}", size, 0, 0, 0) for size in (1, 2, 64))
    parity = dataclasses.replace(MANIFEST.parity, sets=sets)
    return dataclasses.replace(MANIFEST, inputs=inputs, outputs=outputs, parity=parity)


def _parse_config(schema: ModuleType, manifest: Manifest) -> Any:
    return text_format.Parse(render_config(manifest), schema.ModelConfig())


def test_a_free_batch_is_tritons_to_fill(schema: ModuleType) -> None:
    image = TensorRecord("image", "float32", ("batch", 3, "height", 32))
    config = _parse_config(
        schema, _make_manifest((image,), (TensorRecord("logits", "float32", ("batch", 10)),))
    )
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 64)
    assert config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [3, -1, 32]
    assert config.input[0].data_type == schema.DataType.TYPE_FP32
    assert (config.output[0].name, list(config.output[0].dims)) == ("logits", [10])


def test_a_batch_of_two_at_least_is_not_joined(schema: ModuleType) -> None:
    manifest = _make_manifest(
        (TensorRecord("x", "int64", ("N", 3)),), (TensorRecord("y", "float32", ("N",)),)
    )
    bounded = dataclasses.replace(manifest, sizes=(SizeBounds("N", 2), SizeBounds("T", 5)))
    config = _parse_config(schema, bounded)
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [-1, 3]
    upper = dataclasses.replace(manifest, sizes=(SizeBounds("N", 0, 64), SizeBounds("T", 5)))
    assert _parse_config(schema, upper).max_batch_size == 64


@pytest.mark.parametrize(
    ("shape", "out"), [((1, 3), (1, 2)), (("N", 3), (5, 2)), (("N", 3), ("M", 2)), (("N", 3), ())]
)
def test_where_sizes_differ_requests_are_not_joined(
    schema: ModuleType, shape: tuple[int | str, ...], out: tuple[int | str, ...]
) -> None:
    manifest = _make_manifest((TensorRecord("x", "int64", shape),), (TensorRecord("y", "float32", out),))
    config = _parse_config(schema, manifest)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [size if isinstance(size, int) else -1 for size in shape]


def test_one_number_a_sample_is_a_row_of_one_to_triton(schema: ModuleType) -> None:
    config = _parse_config(
        schema, _make_manifest((TensorRecord("x", "bool", ("N",)),), (TensorRecord("y", "uint8", ("N",)),))
    )
    assert list(config.input[0].dims) == [1]
    assert config.input[0].HasField("reshape")
    assert list(config.input[0].reshape.shape) == []


def test_a_name_cannot_end_its_field(schema: ModuleType) -> None:
    name = 'x" } ] backend: "python'
    manifest = _make_manifest((TensorRecord(name, "float32", (1,)),), (TensorRecord("y", "float32", (1,)),))
    config = _parse_config(schema, manifest)
    assert (config.input[0].name, config.backend) == (name, "onnxruntime")


def test_a_type_that_triton_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="input `x` has type complex64"):
        render_config(_make_manifest((TensorRecord("x", "complex64", (1,)),), ()))

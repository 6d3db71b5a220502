import dataclasses
import json
from importlib.metadata import version
from typing import Any

import pytest

from convert.manifest.size_bounds import SizeBounds
from serve.engine.config import ModelConfig, override_config
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import ConfigError, EngineError, MalformedRequestError, UnsupportedError
from serve.engine.signature import Signature, TensorSpec
from serve.protocol.descriptions import ServerMetadata, SizeMetadata, TensorMetadata
from serve.protocol.metadata import (
    TensorConfig,
    check_unload,
    read_configuration,
    read_load,
    write_configuration,
    write_metadata,
)


def test_a_server_is_of_the_version_that_is_installed() -> None:
    assert ServerMetadata().version == version("adaptact")


def test_a_size_that_may_vary_is_written_as_minus_one() -> None:
    spec = TensorSpec("x", BY_NAME["FP32"], ("N", None, 3))
    metadata = write_metadata("m", ["1", "2"], Signature((spec,), ()))
    assert (metadata.name, metadata.versions, metadata.platform) == ("m", ("1", "2"), "onnxruntime_onnx")
    assert metadata.inputs == (TensorMetadata("x", "FP32", (-1, -1, 3)),)
    assert metadata.outputs == ()


def test_bounds_of_sizes_are_told_by_input_and_axis() -> None:
    signature = Signature((TensorSpec("x", BY_NAME["FP32"], ("N", "T")),), ())
    bounds = {"T": SizeBounds("T", 2, 512), "N": SizeBounds("N", multiple=4)}
    assert write_metadata("m", ["1"], signature).sizes is None
    assert write_metadata("m", ["1"], signature.bound(bounds)).sizes == (
        SizeMetadata("x", 0, 0, None, 4),
        SizeMetadata("x", 1, 2, 512, 1),
    )


ROWS = Signature(
    (TensorSpec("x", BY_NAME["FP32"], ("N", 3)),), (TensorSpec("y", BY_NAME["BYTES"], (None, None, 2)),)
)
FIXED = Signature((TensorSpec("x", BY_NAME["BF16"], (1, "M")),), ())


def test_the_batch_is_told_apart_from_the_other_sizes() -> None:
    written = write_configuration("m", ROWS, ModelConfig(), joins=True)
    assert written.max_batch_size == 32
    assert written.input[0] == TensorConfig("x", "TYPE_FP32", [3], "FORMAT_NONE")
    assert written.output[0] == TensorConfig("y", "TYPE_STRING", [-1, 2])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("N", 3, 224, 224), "FORMAT_NCHW"),
        (("N", 1, None, None), "FORMAT_NCHW"),
        (("N", 224, 224, 3), "FORMAT_NHWC"),
        ((3, 224, 224), "FORMAT_NCHW"),
        (("N", 64, 8, 8), "FORMAT_NONE"),
        (("N", 3), "FORMAT_NONE"),
    ],
)
def test_an_input_of_images_says_where_their_channels_are(
    shape: tuple[int | str | None, ...], expected: str
) -> None:
    signature = Signature(
        (TensorSpec("x", BY_NAME["FP32"], shape),), (TensorSpec("y", BY_NAME["FP32"], shape[:1]),)
    )
    written = write_configuration("m", signature, ModelConfig(), joins=False)
    assert written.input[0].format == expected


@pytest.mark.parametrize(
    ("signature", "config"), [(FIXED, ModelConfig()), (ROWS, ModelConfig(batching="off"))]
)
def test_without_batches_the_sizes_are_whole(signature: Signature, config: ModelConfig) -> None:
    written = write_configuration("m", signature, config, joins=False)
    assert written.max_batch_size == 0
    assert written.input[0].dims == signature.inputs[0].dims
    assert written.dynamic_batching is None


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(),
        ModelConfig("latest:2", "on", 8, 8, 7, 1.5),
        ModelConfig(queue_length=1, queue_seconds=0.25),
    ],
)
def test_what_is_written_is_read_as_the_same(config: ModelConfig) -> None:
    written = write_configuration("m", ROWS, config, joins=True)
    reply = {
        key: value for key, value in dataclasses.asdict(written).items() if key not in ("input", "output")
    }
    got = override_config(read_configuration("m", json.loads(json.dumps(reply))), ModelConfig())
    assert (got.versions, got.batch_rows, got.queue_length, got.queue_seconds) == (
        config.versions,
        config.batch_rows,
        config.queue_length,
        config.queue_seconds,
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"max_batch_size": 4}, {"batch_rows": 4, "request_rows": 4}),
        ({"max_batch_size": "4"}, {"batch_rows": 4, "request_rows": 4}),
        ({"max_batch_size": "000000000012"}, {"batch_rows": 12, "request_rows": 12}),
        ({"max_batch_size": 0}, {"batching": "off"}),
        ({"name": "m", "platform": "onnxruntime_onnx", "backend": "onnxruntime"}, {}),
        ({"version_policy": {"latest": {}}}, {"versions": "latest:1"}),
        ({"dynamic_batching": {}}, {"batching": "on"}),
        ({"queue_seconds": 3}, {"queue_seconds": 3}),
    ],
)
def test_the_protocols_names_are_the_engines(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_configuration("m", given) == read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"platform": "tensorrt_plan"}, "`platform` is `tensorrt_plan`, expected `onnxruntime_onnx`"),
        ({"name": "other"}, "`name` is `other`, expected `m`"),
        ({"instance_group": []}, "`instance_group` cannot be configured; known: "),
        ({"max_batch_size": -1}, "`max_batch_size` is `-1`"),
        ({"max_batch_size": "x"}, "`max_batch_size` is `x`"),
        (
            {"max_batch_size": 2**40},
            "`max_batch_size` is `1099511627776`, expected a whole number from 0 to `65536`",
        ),
        ({"max_batch_size": "9" * 5000}, "`max_batch_size` is `999999"),
        ({"max_batch_size": True}, "`max_batch_size` is `True`"),
        ({"version_policy": {"specific": {"versions": [1]}}}, "`version_policy` is"),
        ({"dynamic_batching": 3}, "`dynamic_batching` is `3`"),
        ({"dynamic_batching": {"default_queue_policy": []}}, "`dynamic_batching` is"),
        (
            {"dynamic_batching": {"default_queue_policy": {"default_timeout_microseconds": "x"}}},
            "`default_timeout_microseconds` is `x`",
        ),
    ],
)
def test_what_cannot_be_configured_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_configuration("m", given)
    assert message in str(error.value)


def test_a_load_request_may_have_a_configuration_as_text() -> None:
    assert read_load("m", {}) is None
    assert read_load("m", {"parameters": {}}) is None
    check_unload({})
    check_unload({"parameters": {"unload_dependents": True}})
    assert read_load("m", {"parameters": {"config": '{"max_batch_size": 2}'}}) == {
        "batch_rows": 2,
        "request_rows": 2,
    }


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"file:1/model.onnx": "AAAA"}, UnsupportedError),
        ({"config": {}}, MalformedRequestError),
        ({"config": "["}, ConfigError),
        ({"config": "[]"}, ConfigError),
        ("x", MalformedRequestError),
    ],
)
def test_a_request_to_load_anything_else_is_refused(parameters: Any, kind: type[EngineError]) -> None:
    with pytest.raises(kind):
        read_load("m", {"parameters": parameters})

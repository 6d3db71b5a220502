"""Whatever reads bytes that a client sent: each takes any, and ends with a value or an `EngineError`."""

import gzip
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import orjson

from convert.manifest.preprocessing import Preprocessing
from serve.engine.datatypes import BY_NAME, DATATYPES
from serve.engine.description import ModelDescription
from serve.engine.errors import EngineError
from serve.engine.signature import Signature, TensorSpec
from serve.grpc.infer_messages import parse_infer
from serve.grpc.messages import message_class
from serve.grpc.tensors import read_infer
from serve.observe.log_settings import parse_changes
from serve.protocol.binary import from_binary
from serve.protocol.compression import decompress
from serve.protocol.json_text import parse_object
from serve.protocol.messages import read_raw_request, read_request
from serve.protocol.metadata import check_unload, read_load
from serve.protocol.predict import parse_instances, read_instances
from tests.serve.fuzz.frames import GOOD, play_frames

LIMIT_BYTES = 2**16
Request = message_class("inference.ModelInferRequest")
IMAGE = ModelDescription(preprocessing=Preprocessing("RGB", 12, (8, 8)))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"


def _signature(*inputs: TensorSpec) -> Signature:
    return Signature(inputs, (TensorSpec("y", BY_NAME["FP32"], (None, 3)),))


FLAT = {each.name: _signature(TensorSpec("x", each, ("N", 3))) for each in DATATYPES}
TWO = _signature(TensorSpec("a", BY_NAME["INT32"], ("N", 2)), TensorSpec("b", BY_NAME["BYTES"], ("N",)))
PHOTO = _signature(TensorSpec("x", BY_NAME["FP32"], ("N", 3, 8, 8)))


def _chosen(data: bytes, signatures: Mapping[str, Signature]) -> tuple[Signature, bytes]:
    kinds = list(signatures.values())
    return kinds[data[0] % len(kinds)] if data else kinds[0], data[1:]


def _infer(data: bytes) -> None:
    """Two bytes of how much is JSON, then the body."""
    read_request(data[2:], int.from_bytes(data[:2], "little"))


def _infer_json(data: bytes) -> None:
    read_request(data)


def _raw(data: bytes) -> None:
    signature, body = _chosen(data, FLAT)
    read_raw_request(body, signature)


def _tensor(data: bytes) -> None:
    """A byte of the datatype, one of the sizes, then the tensor."""
    datatype = DATATYPES[data[0] % len(DATATYPES)] if data else DATATYPES[0]
    sizes = data[1] if len(data) > 1 else 0
    from_binary("x", memoryview(data[2:]), datatype, [sizes & 15, sizes >> 4])


def _instances(data: bytes) -> None:
    signature, body = _chosen(data, FLAT | {"two": TWO})
    read_instances(parse_instances(body), signature)


def _images(data: bytes) -> None:
    read_instances(parse_instances(data), PHOTO, IMAGE)


def _gzip(data: bytes) -> None:
    assert len(decompress(data, "gzip", LIMIT_BYTES)) <= LIMIT_BYTES


def _deflate(data: bytes) -> None:
    assert len(decompress(data, "deflate", LIMIT_BYTES)) <= LIMIT_BYTES


def _settings(data: bytes) -> None:
    given = parse_object(data)
    with suppress(EngineError):
        read_load("m", given)
    with suppress(EngineError):
        check_unload(given)
    with suppress(EngineError):
        parse_changes(given)


def _grpc(data: bytes) -> None:
    read_infer(parse_infer(data))


@dataclass(frozen=True)
class Target:
    """What reads, and bytes that it reads without an error."""

    read: Callable[[bytes], None]
    good: tuple[bytes, ...]
    cost: int = 1
    """So many executions of the others take about as long."""


def _grpc_good() -> bytes:
    made = Request(model_name="m", id="1")
    made.inputs.add(name="x", datatype="FP32", shape=[1, 3])
    made.outputs.add(name="y").parameters["classification"].int64_param = 2
    made.parameters["timeout"].int64_param = 5
    made.raw_input_contents.append(np.ones(3, np.float32).tobytes())
    data: bytes = made.SerializeToString()
    return data


def _grpc_contents() -> bytes:
    made = Request(model_name="m")
    made.inputs.add(name="x", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b"b"])
    made.inputs.add(name="z", datatype="INT8", shape=[2]).contents.int_contents.extend([-1, 5])
    data: bytes = made.SerializeToString()
    return data


X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2.5, -3e4]}
JSON = orjson.dumps(
    {
        "id": "1",
        "inputs": [X, {"name": "s", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]}],
        "outputs": [{"name": "y", "parameters": {"binary_data": True, "classification": 2}}],
        "parameters": {"binary_data_output": True, "timeout": 1000},
    }
)
MIXED = orjson.dumps(
    {
        "inputs": [
            {"name": "x", "shape": [3], "datatype": "INT8", "parameters": {"binary_data_size": 3}},
            {"name": "b", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
        ]
    }
)
TAIL = b"abc\x01\0\0\0a"
ROWS = b'{"instances": [[1, 2, 3], [4, 5, 6]]}'
NAMED = b'{"instances": [{"a": [1, 2], "b": "t"}]}'
LOAD = orjson.dumps({"parameters": {"config": '{"max_batch_size": 4, "dynamic_batching": {}}'}})
FP32, BYTES = (list(BY_NAME).index(name) for name in ("FP32", "BYTES"))

TARGETS: dict[str, Target] = {
    "infer": Target(_infer, (len(MIXED).to_bytes(2, "little") + MIXED + TAIL,)),
    "infer_json": Target(_infer_json, (JSON, JSON.replace(b"2.5", b"NaN"))),
    "raw": Target(_raw, (bytes([FP32]) + bytes(12),)),
    "tensor": Target(
        _tensor, (bytes([FP32, 0x13]) + bytes(12), bytes([len(DATATYPES) - 1, 0x11]) + TAIL[3:])
    ),
    "instances": Target(_instances, (bytes([FP32]) + ROWS, bytes([len(DATATYPES)]) + NAMED)),
    "images": Target(_images, (orjson.dumps({"instances": [{"b64": PNG}]}),)),
    "gzip": Target(_gzip, (gzip.compress(JSON),)),
    "deflate": Target(_deflate, (zlib.compress(JSON),)),
    "settings": Target(_settings, (b"{}", LOAD, b'{"log_info": true}')),
    "grpc": Target(_grpc, (_grpc_good(), _grpc_contents())),
    "frames": Target(play_frames, GOOD, cost=30),
}

from importlib.metadata import version

from serve.engine.datatypes import BY_NAME
from serve.engine.signature import Signature, TensorSpec
from serve.protocol.metadata import ServerMetadata, TensorMetadata, write_metadata


def test_a_server_is_of_the_version_that_is_installed() -> None:
    assert ServerMetadata().version == version("adaptact")


def test_a_size_that_may_vary_is_written_as_minus_one() -> None:
    spec = TensorSpec("x", BY_NAME["FP32"], ("N", None, 3))
    found = write_metadata("m", ["1", "2"], Signature((spec,), ()))
    assert (found.name, found.versions, found.platform) == ("m", ["1", "2"], "onnxruntime_onnx")
    assert found.inputs == [TensorMetadata("x", "FP32", [-1, -1, 3])]
    assert found.outputs == []

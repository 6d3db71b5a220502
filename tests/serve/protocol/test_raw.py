import numpy as np
import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import EngineError
from serve.engine.signature import Signature, TensorSpec
from serve.protocol.raw import read_raw_request


def _signature(datatype: str, *shapes: tuple[int | str | None, ...]) -> Signature:
    specs = tuple(TensorSpec(f"x{index}", BY_NAME[datatype], shape) for index, shape in enumerate(shapes))
    return Signature(specs, ())


@pytest.mark.parametrize(
    ("shape", "expected"), [(("N", 2), (2, 2)), ((2, 2), (2, 2)), ((2, 2, None), (2, 2, 1)), ((4,), (4,))]
)
def test_a_raw_body_is_the_only_input(shape: tuple[int | str | None, ...], expected: tuple[int, ...]) -> None:
    request = read_raw_request(np.arange(4, dtype=np.int32).tobytes(), _signature("INT32", shape))
    assert request.inputs["x0"].shape == expected
    assert request.inputs["x0"].ravel().tolist() == [0, 1, 2, 3]
    assert request.wants_binary("y")


def test_a_raw_body_is_one_string_as_it_is() -> None:
    request = read_raw_request("naïve".encode(), _signature("BYTES", ("N", 1)))
    assert request.inputs["x0"].tolist() == [["naïve"]]


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        (_signature("INT32", (1,), (1,)), "needs a model with one input; this one has `x0`, `x1`"),
        (_signature("INT32", ("N", "M")), "at most one size that varies; input `x0` has `[-1, -1]`"),
        (_signature("INT32", ("N", 2)), "takes `8` bytes, got `12`"),
        (_signature("INT32", ("N", 0)), "takes `0` bytes, got `12`"),
    ],
)
def test_a_raw_body_that_cannot_be_the_input_is_refused(signature: Signature, problem: str) -> None:
    with pytest.raises(EngineError) as error:
        read_raw_request(bytes(12), signature)
    assert problem in str(error.value)

import base64
import io
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from convert.manifest.preprocessing import Preprocessing
from serve.engine.datatypes import BY_NAME
from serve.engine.description import ModelDescription
from serve.engine.errors import MalformedRequestError, NotExpressibleError
from serve.engine.signature import Array, Signature, TensorSpec
from serve.protocol.predict import holds_images, parse_instances, read_instances, write_predictions

ONE = Signature((TensorSpec("x", BY_NAME["FP32"], ("N", 2)),), ())
TWO = Signature((*ONE.inputs, TensorSpec("note", BY_NAME["BYTES"], ("N",))), ())


def _read(
    signature: Signature, instances: object, description: ModelDescription | None = None
) -> dict[str, list[Any]]:
    inputs = read_instances(parse_instances(orjson.dumps({"instances": instances})), signature, description)
    return {name: array.tolist() for name, array in inputs.items()}


def test_instances_of_one_input_are_its_tensors() -> None:
    assert _read(ONE, [[1, 2], [3, 4.5]]) == {"x": [[1, 2], [3, 4.5]]}


def test_instances_of_one_input_may_name_it() -> None:
    assert _read(ONE, [{"x": [1, 2]}]) == {"x": [[1, 2]]}


def test_instances_of_several_inputs_are_objects_by_name() -> None:
    instances = [{"x": [1, 2], "note": "a"}, {"note": "b", "x": [3, 4]}]
    assert _read(TWO, instances) == {"x": [[1, 2], [3, 4]], "note": ["a", "b"]}


@pytest.mark.parametrize(
    ("signature", "message", "problem"),
    [
        (ONE, {}, 'expected `{"instances": [...]}`'),
        (ONE, [], 'expected `{"instances": [...]}`'),
        (ONE, {"instances": []}, "at least one instance"),
        (ONE, {"instances": 1}, 'expected `{"instances": [...]}`'),
        (ONE, {"instances": [[1, 2], [3]]}, "input `x`: the instances are not all of one shape"),
        (ONE, {"instances": [[1, "a"]]}, '`instances[0]` holds `"a"`, which is no `FP32`'),
        (
            ONE,
            {"instances": [{"z": [1]}]},
            "`instances[0]` has no value for `x` and has `z`, which the model does not; expected an object "
            "with exactly the model's inputs: `x`; the columns of the input have no names: `columns` in",
        ),
        (
            TWO,
            {"instances": [[1, 2]]},
            "`instances[0]` is a list, expected an object with exactly the model's inputs: `x`, `note`",
        ),
        (
            TWO,
            {"instances": [{"x": [1, 2], "note": "a"}, {"x": [1, 2]}]},
            "`instances[1]` has no value for `note`; expected",
        ),
        (Signature((), ()), {"instances": [1]}, "the model has no inputs"),
    ],
)
def test_anything_else_is_refused(signature: Signature, message: object, problem: str) -> None:
    with pytest.raises(MalformedRequestError) as error:
        read_instances(parse_instances(orjson.dumps(message)), signature)
    assert problem in str(error.value)


def _write(outputs: dict[str, Array], instances: int = 2, classes: tuple[str, ...] = ()) -> Any:
    return orjson.loads(write_predictions(outputs, instances, classes))


SCORES = np.array([[0.25, 0.75], [0.5, 0.125]], np.float32)


def test_predictions_of_one_output_are_a_list() -> None:
    assert _write({"y": SCORES}) == {"predictions": SCORES.tolist()}


def test_predictions_of_several_outputs_are_objects_by_name() -> None:
    got = _write({"y": SCORES, "text": np.array(["a", "b"], np.object_)})
    assert got == {"predictions": [{"y": [0.25, 0.75], "text": "a"}, {"y": [0.5, 0.125], "text": "b"}]}


def test_known_classes_name_the_likeliest_of_each_instance() -> None:
    assert _write({"y": SCORES}, classes=("cat", "dog"))["labels"] == ["dog", "cat"]


@pytest.mark.parametrize(
    "outputs", [{"y": SCORES[:, 0]}, {"y": np.zeros((2, 3), np.float32)}, {"y": SCORES, "z": SCORES}]
)
def test_outputs_that_are_not_one_score_a_class_have_no_labels(outputs: dict[str, Array]) -> None:
    assert "labels" not in _write(outputs, classes=("cat", "dog"))


@pytest.mark.parametrize("output", [np.array(1.0), np.zeros(3), np.array([1, np.nan])])
def test_an_output_without_a_number_for_each_instance_is_refused(output: Array) -> None:
    with pytest.raises(NotExpressibleError, match="output `y`"):
        write_predictions({"y": output}, 2, ())


def test_images_are_instances_too_alone_or_by_the_inputs_name() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((2, 2), 255, np.uint8)).save(stream, "PNG")
    image = {"b64": base64.b64encode(stream.getvalue()).decode()}
    gray = TensorSpec("x", BY_NAME["FP32"], ("N", 1, 2, 2))
    plain = ModelDescription(preprocessing=Preprocessing())
    assert _read(Signature((gray,), ()), [image, image], plain) == {"x": [[[[1.0, 1.0], [1.0, 1.0]]]] * 2}
    assert _read(Signature((gray, TWO.inputs[1]), ()), [{"x": image, "note": "a"}], plain) == {
        "x": [[[[1.0, 1.0], [1.0, 1.0]]]],
        "note": ["a"],
    }


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        (b'{"instances":[{"b64":""}]}', True),
        (b'{"instances":[{"\\u0062\\u0036\\u0034":""}]}', True),
        (b'{"instances":[{"note":"a","x":{"b64":""}}]}', True),
        (b'{"instances":[{"note":"b64"}]}', False),
        (b'{"instances":["b64"]}', False),
        (b'{"instances":[[1]]}', False),
    ],
)
def test_images_are_told_by_the_first_instance(body: bytes, holds: bool) -> None:
    assert holds_images(parse_instances(body)) == holds

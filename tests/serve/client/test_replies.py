from dataclasses import asdict, replace

import pytest

from serve.client.errors import InvalidReplyError
from serve.client.replies import JsonObject, Predictions, read_model_metadata, read_predictions
from serve.protocol.descriptions import DescribedPart, ModelMetadata, SizeMetadata, TensorMetadata

SIZES = (SizeMetadata("x", 0, 0, None, 8), SizeMetadata("x", 1, 2, 512, 1))
METADATA = ModelMetadata("m", ("1",), "p", (TensorMetadata("x", "FP32", (-1, -1)),), (), "strong", SIZES)


def _reply(metadata: ModelMetadata) -> JsonObject:
    """The reply as the server writes it, with lists for tuples."""
    fields = asdict(metadata)
    for name in ("versions", "inputs", "outputs", "sizes"):
        fields[name] = None if fields[name] is None else list(fields[name])
    for tensor in fields["inputs"]:
        tensor["shape"] = list(tensor["shape"])
    return JsonObject(fields, "reply")


def test_bounds_of_sizes_are_read() -> None:
    assert read_model_metadata(_reply(METADATA)) == METADATA


def test_a_reply_without_bounds_is_read() -> None:
    plain = ModelMetadata("m", ("1",), "p", METADATA.inputs, ())
    assert read_model_metadata(_reply(plain)) == plain


def test_what_describes_a_model_is_read() -> None:
    said = {
        "classes": DescribedPart(["a", "b"], "labels.txt"),
        "tokenizer": DescribedPart({"file": "t"}, "t"),
    }
    described = replace(METADATA, description=said)
    assert read_model_metadata(_reply(described)) == described


def test_the_texts_that_were_cut_are_read() -> None:
    reply = JsonObject({"predictions": [1, 2], "truncated": [1]}, "reply")
    assert read_predictions(reply) == Predictions([1, 2], (), (1,))


def test_bounds_that_are_none_are_refused() -> None:
    reply = _reply(ModelMetadata("m", ("1",), "p", (), (), None, (SizeMetadata("x", 0, 0, None, 8),)))
    reply.plain()["sizes"] = [{"input": "x", "axis": "0"}]
    with pytest.raises(InvalidReplyError, match="axis"):
        read_model_metadata(reply)

from pathlib import Path

import onnx
import onnxruntime
import pytest

from convert.artefact.description_entry import replace_description
from convert.artefact.signing import sign
from convert.errors import SourceError
from convert.manifest.description import Description
from convert.manifest.entries import DESCRIPTION_KEY
from convert.manifest.signature import read_signer
from tests.convert.keys import write_keys

TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }'
FIRST, SECOND = Description(("cat", "犬")), Description(("a", "b"))


def _make_file(**metadata: str) -> bytes:
    model = onnx.parser.parse_model(TEXT)
    onnx.helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def test_the_bytes_before_it_stay_as_they_are() -> None:
    content = _make_file(other="1")
    first = replace_description(content, FIRST)
    assert first.startswith(content)
    second = replace_description(first, SECOND)
    assert second == replace_description(content, SECOND)
    metadata = onnxruntime.InferenceSession(second).get_modelmeta().custom_metadata_map
    assert metadata == {"other": "1", DESCRIPTION_KEY: SECOND.to_json()}


def test_an_entry_that_stands_elsewhere_is_replaced() -> None:
    content = _make_file(**{DESCRIPTION_KEY: FIRST.to_json(), f"{DESCRIPTION_KEY}s": "kept"})
    model = onnx.load_model_from_string(replace_description(content, SECOND))
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        f"{DESCRIPTION_KEY}s": "kept",
        DESCRIPTION_KEY: SECOND.to_json(),
    }


def test_a_signature_is_taken_off(tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    signed = sign(_make_file(), keys.private)
    assert read_signer(signed)
    described = replace_description(signed, FIRST)
    assert read_signer(described) is None
    assert b"ed25519" not in described


@pytest.mark.parametrize("content", [b"\x08", b"\x0a\xff\xff", b"\x0b", b"\xff" * 12, b"\x0d\x00"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match="is not an ONNX model: "):
        replace_description(content, FIRST)

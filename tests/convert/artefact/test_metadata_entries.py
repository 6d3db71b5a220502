from pathlib import Path

import onnx
import onnxruntime
import pytest

from convert.artefact.metadata_entries import replace_entries
from convert.artefact.signing import sign
from convert.errors import SourceError
from convert.manifest.description import Description
from convert.manifest.entries import DESCRIPTION_KEY
from convert.manifest.signature import read_signer
from tests.convert.keys import write_keys

TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }'
FIRST, SECOND = ({DESCRIPTION_KEY: Description(names).to_json()} for names in (("cat", "犬"), ("a", "b")))


def _make_file(**metadata: str) -> bytes:
    model = onnx.parser.parse_model(TEXT)
    onnx.helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def test_the_bytes_before_it_stay_as_they_are() -> None:
    content = _make_file(other="1")
    first = replace_entries(content, FIRST)
    assert first.startswith(content)
    second = replace_entries(first, SECOND)
    assert second == replace_entries(content, SECOND)
    metadata = onnxruntime.InferenceSession(second).get_modelmeta().custom_metadata_map
    assert metadata == {"other": "1", **SECOND}


def test_an_entry_that_stands_elsewhere_is_replaced() -> None:
    content = _make_file(**FIRST, **{f"{DESCRIPTION_KEY}s": "kept"})
    model = onnx.load_model_from_string(replace_entries(content, SECOND))
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        f"{DESCRIPTION_KEY}s": "kept",
        **SECOND,
    }


def test_several_entries_are_put_in_their_order() -> None:
    entries = FIRST | {"adaptact.baseline": "{}"}
    assert replace_entries(replace_entries(_make_file(), entries), entries) == replace_entries(
        _make_file(), entries
    )
    model = onnx.load_model_from_string(replace_entries(_make_file(), entries))
    assert {entry.key: entry.value for entry in model.metadata_props} == entries


def test_a_signature_is_taken_off(tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    signed = sign(_make_file(), keys.private)
    assert read_signer(signed)
    described = replace_entries(signed, FIRST)
    assert read_signer(described) is None
    assert b"ed25519" not in described


@pytest.mark.parametrize("content", [b"\x08", b"\x0a\xff\xff", b"\x0b", b"\xff" * 12, b"\x0d\x00"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match="is not an ONNX model: "):
        replace_entries(content, FIRST)

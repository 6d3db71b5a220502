import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from convert.errors import SourceError
from convert.manifest.entries import DESCRIPTION_KEY, MANIFEST_KEY
from convert.manifest.model_file import read_model_content

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N,3] x, float[3] w, int64 s) => (float[N,3] y, float[?,1,2] z, float out) {
    y = Mul(x, w)
    z = Identity(x)
    out = Identity(x)
}
"""


def _write(path: Path, **metadata: str) -> bytes:
    model = onnx.parser.parse_model(TEXT)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    onnx.helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    path.write_bytes(content)
    return content


def test_inputs_outputs_and_metadata_are_read(tmp_path: Path) -> None:
    content = _write(tmp_path / "m.onnx", **{DESCRIPTION_KEY: "{}"})
    read = read_model_content(tmp_path / "m.onnx")
    assert read.inputs == (("x", [None, 3]), ("s", []))  # a weight that older files list is none
    assert read.outputs == (("y", [None, 3]), ("z", [None, 1, 2]), ("out", []))
    assert (read.metadata, read.manifest, read.content) == ({DESCRIPTION_KEY: "{}"}, None, content)


def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path / "m.onnx", **{MANIFEST_KEY: "x"})
    with pytest.raises(SourceError, match=r"m\.onnx"):
        read_model_content(tmp_path / "m.onnx")


def test_a_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    content = _write(tmp_path / "m.onnx")
    damaged = [content[:end] for end in range(len(content))]
    damaged += [content[:place] + b"\xff" + content[place + 1 :] for place in range(len(content))]
    for each in damaged:
        (tmp_path / "d.onnx").write_bytes(each)
        with contextlib.suppress(SourceError):
            assert read_model_content(tmp_path / "d.onnx").outputs

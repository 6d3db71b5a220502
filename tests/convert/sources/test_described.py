import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from torch import nn

from convert.errors import UsageError
from convert.manifest.entries import DESCRIPTION_KEY
from convert.manifest.preprocessing import IMAGENET
from convert.model_io.inputs import parse_input
from convert.sources.described import (
    UNCHANGED,
    GivenDescription,
    count_tokens,
    describe,
    require_fitting,
    require_known_tokens,
)
from convert.sources.load import load
from convert.sources.source import Source

TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }'


def _make_graph() -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(TEXT))


def _make_source(**fields: Any) -> Source:
    return Source(nn.ReLU(), (), ("y",), ("a", "b"), {"size": [8, 8]}, "", kind="checkpoint", **fields)


def test_nothing_given_changes_nothing() -> None:
    source = _make_source(tokenizer="{}")
    assert describe(source, UNCHANGED) == source


def test_what_is_given_replaces_what_the_source_says() -> None:
    given = GivenDescription(("c", "d"), IMAGENET, ("z",), '{"model": {}}')
    described = describe(_make_source(), given)
    assert (described.classes, described.preprocessing) == (("c", "d"), IMAGENET.to_json())
    assert (described.outputs, described.tokenizer) == (("z",), '{"model": {}}')


def test_what_the_source_says_may_be_left_out() -> None:
    without = frozenset({"classes", "preprocessing", "tokenizer"})
    described = describe(_make_source(tokenizer="{}"), GivenDescription(without=without))
    assert (described.classes, described.preprocessing, described.tokenizer) == (None, None, None)
    assert described.outputs == ("y",)


def test_the_outputs_of_an_onnx_file_keep_their_names() -> None:
    with pytest.raises(UsageError, match="an ONNX file keeps its own"):
        describe(_make_source(graph=_make_graph()), GivenDescription(outputs=("z",)))


def test_a_description_of_another_model_is_refused() -> None:
    require_fitting(UNCHANGED, _make_graph())
    require_fitting(GivenDescription(("a", "b")), _make_graph())
    with pytest.raises(UsageError, match=r"3 classes are named, and the model has `y`"):
        require_fitting(GivenDescription(("a", "b", "c")), _make_graph())


def test_an_onnx_file_keeps_what_was_described_of_it(tmp_path: Path) -> None:
    from convert.artefact.metadata_entries import replace_entries  # noqa: PLC0415
    from convert.manifest.description import Description  # noqa: PLC0415

    described = Description(("cat", "dog"), ("left", "right"), IMAGENET)
    content = onnx.parser.parse_model(TEXT).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(replace_entries(content, {DESCRIPTION_KEY: described.to_json()}))
    source = load(tmp_path / "m.onnx")
    assert (source.classes, source.preprocessing) == (("cat", "dog"), IMAGENET.to_json())
    assert any("names of its columns are left out" in note for note in source.notes)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ({"model": {"vocab": {"a": 0, "b": 6}}, "added_tokens": [{"id": 4}]}, 7),
        ({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}, "added_tokens": [{"id": 2}]}, 3),
        ({"model": {}, "added_tokens": None}, 0),
        ({"model": {"vocab": {}}}, 0),
        ({"model": {"vocab": "abc"}, "added_tokens": ["a", {}, {"id": "b"}]}, 0),
        ({"model": {"vocab": {"a": None}}, "added_tokens": 5}, 0),
    ],
)
def test_the_tokens_of_a_tokenizer_are_counted(content: dict[str, Any], tokens: int) -> None:
    assert count_tokens(json.dumps(content)) == tokens


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused() -> None:
    source = _make_source(tokenizer=json.dumps({"model": {"vocab": {"a": 0, "b": 6}}}))
    require_known_tokens(replace(source, inputs=(parse_input("input_ids:int64[N,T]<7"),)))
    require_known_tokens(replace(source, inputs=(parse_input("input_ids:int64[N,T]"),)))
    with pytest.raises(
        UsageError, match="numbers its tokens up to 6, and the model has 6 embeddings, for 0 to 5"
    ):
        require_known_tokens(replace(source, inputs=(parse_input("input_ids:int64[N,T]<6"),)))

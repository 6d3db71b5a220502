import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim

from convert.errors import SourceError, UsageError
from convert.model_io.inputs import InputSpec, parse_input
from convert.sources.load import load
from convert.sources.program import ProgramModule
from tests.convert.sources import files

DESCRIPTION = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
SAMPLE = "data/sample_inputs/model.pt"


class Touch:
    """A pickle that makes a file as it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.mkdir, (str(self.path),)  # type: ignore[return-value]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return files.write_program(tmp_path / "m.pt2")


def _change(path: Path, member: str, change: Callable[[Any], Any]) -> Path:
    def changed(name: str, content: bytes) -> bytes:
        if name != member:
            return content
        document = json.loads(content)
        return json.dumps(change(document) or document).encode()

    return files.rewrite_archive(path, changed)


def _find_first_call(document: Any, **fields: object) -> None:
    document["graph_module"]["graph"]["nodes"][0].update(fields)


def _find_first_weight(document: Any, **fields: object) -> None:
    next(iter(document["config"].values())).update(fields)


def test_inputs_are_those_of_the_program(program: Path) -> None:
    assert load(program).inputs == (InputSpec("input", "float32", ("batch", 4)),)


def test_sizes_have_the_bounds_of_the_program(tmp_path: Path) -> None:
    free = ({0: Dim("b"), 1: Dim("t", min=4, max=40)},)
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(nn.ReLU(), (torch.randn(3, 8),), dynamic_shapes=free), path)
    assert [spec.shape_text for spec in load(path).inputs] == ["[batch,4<=input_1<=40]"]


def test_an_index_is_bounded_by_its_table(tmp_path: Path) -> None:
    ids, mask = load(files.write_tagger_program(tmp_path / "m.pt2")).inputs
    assert (ids.below, mask.below) == (50, None)


def test_another_number_of_inputs_is_wrong_use(program: Path) -> None:
    with pytest.raises(UsageError, match=r"takes \['input'\], not 2"):
        load(program, inputs=[parse_input("a:float32[1]"), parse_input("b:float32[1]")])


def test_named_types_become_float64() -> None:
    class Halves(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ torch.full((4, 2), 0.1, dtype=torch.float32)

    exported = torch.export.export(Halves(), (torch.ones(2, 4),))
    model = ProgramModule(exported.module(check_guards=False), exported.call_spec.in_spec)
    wide = model.double()(torch.ones(2, 4, dtype=torch.float64))
    assert isinstance(wide, torch.Tensor)
    torch.testing.assert_close(wide, torch.full((2, 2), 0.4, dtype=torch.float64), rtol=1e-15, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "change", "reason"),
    [
        (
            DESCRIPTION,
            lambda d: _find_first_call(d, target="torch.os.system"),
            "the function `torch.os.system`",
        ),
        (DESCRIPTION, lambda d: _find_first_call(d, target="torch.ops.aten.from_file.default"), "from_file"),
        (DESCRIPTION, lambda d: d["range_constraints"].update({"__import__('os')": {}}), "the name"),
        (DESCRIPTION, lambda d: [[]] * 3, "cannot be opened"),
        (WEIGHTS, lambda d: _find_first_weight(d, use_pickle=True), "as a pickle"),
        (WEIGHTS, lambda d: _find_first_weight(d, path_name="opaque_obj_0"), "as a pickle"),
        (
            WEIGHTS,
            lambda d: _find_first_weight(d, tensor_meta={"sizes": [{"as_int": 10**12}]}),
            "more than the file holds",
        ),
        (WEIGHTS, lambda d: _find_first_weight(d, tensor_meta={}), "no description"),
        (WEIGHTS, lambda d: {"config": 3}, "no list of tensors"),
    ],
)
def test_an_unsafe_description_is_refused(
    program: Path, member: str, change: Callable[[Any], Any], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason) as refused:
        load(_change(program, member, change))
    assert refused.value.hint is not None
    assert "torch.export.save" in refused.value.hint


def test_an_expression_that_is_code_is_not_evaluated(tmp_path: Path) -> None:
    path = files.write_program(tmp_path / "m.pt2")
    code = f"__import__('os').mkdir('{tmp_path / 'ran'}')"

    def planted(name: str, content: bytes) -> bytes:
        if name != DESCRIPTION:
            return content
        document = json.loads(content)
        text = json.dumps(document)
        found = next(part for part in text.split('"expr_str": ')[1:]).split('",')[0] + '"'
        return text.replace(found, json.dumps(code)).encode()

    with pytest.raises(SourceError, match="no plain arithmetic"):
        load(files.rewrite_archive(path, planted))
    assert not (tmp_path / "ran").exists()


def test_a_sample_that_is_a_pickle_of_code_does_not_run(program: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(Touch(tmp_path / "ran"), buffer)
    for sample in (buffer.getvalue(), pickle.dumps(Touch(tmp_path / "ran"))):
        path = files.rewrite_archive(program, lambda name, old, new=sample: new if name == SAMPLE else old)  # type: ignore[misc]
        with pytest.raises(SourceError, match="sample inputs that are not opened"):
            load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        ("data/aotinductor/model/x.so", "compiled code"),
        ("data/weights/model.pt", "expected one program and flat weights"),
        ("models/other.json", "several programs"),
    ],
)
def test_members_that_would_run_or_unpickle_are_refused(program: Path, added: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        load(files.rewrite_archive(program, lambda name, content: content, **{added: b"x"}))


def test_an_archive_without_a_program_is_refused(program: Path) -> None:
    path = files.rewrite_archive(
        program, lambda name, content: None if name == DESCRIPTION else content, **{"models/x": b""}
    )
    with pytest.raises(SourceError, match="of an older version"):
        load(path)

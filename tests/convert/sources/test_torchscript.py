import copy
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convert.errors import SourceError, UsageError
from convert.load import load
from tests.convert.sources import files


def _is_code(name: str) -> bool:
    return "container" in name and name.endswith(".py")


class Saves(nn.Module):
    """Code that would write a file when it runs."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        torch.save(x, "ran")
        return x


class Counts(nn.Module):
    """Code whose result hangs on a loop."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        for _ in range(3):
            x = x * 0.5
        return x


def test_the_module_computes_what_it_computed(tmp_path: Path) -> None:
    source = load(files.torchscript(tmp_path / "m.ts"), inputs=[files.ROWS])
    x = torch.randn(2, 4)
    assert torch.equal(source.model(x), files.network()(x))
    assert source.inputs == (files.ROWS,)


def test_a_wide_copy_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    source = load(files.torchscript(tmp_path / "m.ts"), inputs=[files.ROWS])
    wide = copy.deepcopy(source.model).double()
    x = torch.randn(2, 4)
    assert wide(x.double()).dtype == torch.float64
    torch.testing.assert_close(wide(x.double()), files.network().double()(x.double()), rtol=1e-12, atol=1e-12)
    assert torch.equal(source.model(x), files.network()(x))


def test_its_inputs_must_be_described(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inputs are not known") as refused:
        load(files.torchscript(tmp_path / "m.ts"))
    assert "--input" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        (b"\n    torch.save(x, 'ran')\n", "reads or writes files"),
        (b"\n    ops.aten.from_file('f')\n", "reads or writes files"),
        (b"\n  def __setstate__(self) -> None:\n    pass\n", "runs as the file is opened"),
        (b"\n    ops.mine.run(x)\n", "an operator of an extension"),
        (b"\n  a : __torch__.torch.classes.mine.Thing\n", "a C\\+\\+ extension"),
    ],
)
def test_code_that_reaches_beyond_tensors_is_refused(tmp_path: Path, planted: bytes, reason: str) -> None:
    path = files.rewritten(
        files.torchscript(tmp_path / "m.ts"),
        lambda name, content: content + planted if _is_code(name) else content,
    )
    with pytest.raises(SourceError, match=reason) as refused:
        load(path, inputs=[files.ROWS])
    assert "adaptive_act.save" in str(refused.value.hint)


def test_what_torch_itself_compiled_to_write_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="reads or writes files"):
        load(files.torchscript(tmp_path / "m.ts", Saves(), traced=False), inputs=[files.ROWS])


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = files.torchscript(tmp_path / "m.ts")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/code/bomb.py", b"#" * 100_000_000)
    with pytest.raises(SourceError, match="far more than it holds"):
        load(path, inputs=[files.ROWS])


def test_code_nested_without_end_is_an_error_and_no_crash(tmp_path: Path) -> None:
    deep = b"(" * 500_000 + b"x" + b")" * 500_000
    path = files.rewritten(
        files.torchscript(tmp_path / "m.ts"),
        lambda name, content: (
            content.replace(b"return ", b"return " + deep + b" or ", 1) if _is_code(name) else content
        ),
    )
    with pytest.raises(SourceError, match="cannot be opened"):
        load(path, inputs=[files.ROWS])


def test_a_loop_is_kept(tmp_path: Path) -> None:
    source = load(files.torchscript(tmp_path / "m.ts", Counts(), traced=False), inputs=[files.ROWS])
    assert torch.equal(source.model(torch.ones(1, 4)), torch.full((1, 4), 0.125))

import copy
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convert.errors import SourceError, UsageError
from convert.model_io.forward import in_float64
from convert.sources.load import load
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


def test_the_module_computes_the_same(tmp_path: Path) -> None:
    source = load(files.write_torchscript(tmp_path / "m.ts"), inputs=[files.ROWS])
    x = torch.randn(2, 4)
    assert torch.equal(source.model(x), files.network()(x))
    assert source.inputs == (files.ROWS,)


def test_a_float64_copy_leaves_the_original_unchanged(tmp_path: Path) -> None:
    source = load(files.write_torchscript(tmp_path / "m.ts"), inputs=[files.ROWS])
    wide = copy.deepcopy(source.model).double()
    x = torch.randn(2, 4)
    with in_float64():
        found = wide(x.double())
    torch.testing.assert_close(found, files.network().double()(x.double()), rtol=1e-12, atol=1e-12)
    assert torch.equal(source.model(x), files.network()(x))


def test_its_inputs_must_be_described(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inputs are not known") as refused:
        load(files.write_torchscript(tmp_path / "m.ts"))
    assert "--input" in str(refused.value.hint)


def _plant(path: Path, code: bytes, *, before: bytes) -> Path:
    """The archive of a loop over x, with code of a stranger's before some of its own."""
    return files.rewrite_archive(
        files.write_torchscript(path, Counts(), traced=False),
        lambda name, content: content.replace(before, code + before, 1) if name.endswith(".py") else content,
    )


def _write_returning(path: Path, call: bytes) -> Path:
    """The archive of a loop over x, which adds what a stranger's call gives."""
    return files.rewrite_archive(
        files.write_torchscript(path, Counts(), traced=False),
        lambda name, content: content.replace(b"return ", b"return " + call + b" + "),
    )


WRITES = (
    'torch.from_file("%s", True, 4)',
    '(torch.from_file)("%s", True, 4)',
    'torch.from_file\\\n("%s", True, 4)',
    '(ops.aten.from_file)("%s", True, 4)',
    'getattr(torch, "from_file")("%s", True, 4)',
    'getattr(torch, "from\\137file")("%s", True, 4)',
)


@pytest.mark.parametrize("call", WRITES)
def test_a_file_operator_is_refused_in_any_spelling(tmp_path: Path, call: str) -> None:
    marker = tmp_path / "written"
    path = _write_returning(tmp_path / "m.ts", (call % marker).encode())
    with pytest.raises(SourceError, match="reads or writes files") as refused:
        load(path, inputs=[files.ROWS])
    assert "adaptive_act.save" in str(refused.value.hint)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("before", "planted"),
    [
        (b") -> Tensor", b", y: Tensor=torch.from_file('%s', True, 4)"),
        (b"  training : bool", b"  z : Final[Tensor] = torch.from_file('%s', True, 4)\n"),
        (b"  training : bool", b"  z : Final[int] = torch.size(torch.from_file('%s', True, 4), 0)\n"),
        (b"  training : bool", b"  def __setstate__(self, x: Tensor) -> NoneType:\n    return None\n"),
        (b"  training : bool", b"  # type: Tensor\n"),
        (b"  training : bool", b"  z : str = f'{1}'\n"),
    ],
)
def test_opening_an_archive_runs_no_code(tmp_path: Path, before: bytes, planted: bytes) -> None:
    marker = tmp_path / "written"
    code = planted.replace(b"%s", str(marker).encode())
    with pytest.raises(SourceError, match=r"as the file is opened|torch does not write"):
        load(_plant(tmp_path / "m.ts", code, before=before), inputs=[files.ROWS])
    assert not marker.exists()


def test_code_in_an_upper_case_member_is_checked(tmp_path: Path) -> None:
    path = _plant(tmp_path / "m.ts", b", y: Tensor=torch.ones([1])", before=b") -> Tensor")
    with pytest.raises(SourceError, match="as the file is opened"):
        load(_rename(path, lambda name: name.replace(".py", ".PY")), inputs=[files.ROWS])


def test_members_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    path = files.write_torchscript(tmp_path / "m.ts")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(next(name for name in archive.namelist() if _is_code(name)).upper(), b"")
    with pytest.raises(SourceError, match=r"one twice|damaged"):
        load(path, inputs=[files.ROWS])


def test_an_archive_with_its_own_code_location_is_refused(tmp_path: Path) -> None:
    path = files.write_torchscript(tmp_path / "m.ts")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0].partition("/")[0] + "/Model.json", b"{}")
    with pytest.raises(SourceError, match="before 2020"):
        load(path, inputs=[files.ROWS])


def _rename(path: Path, name: Callable[[str], str]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name(one): archive.read(one) for one in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    return path


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (b"ops.quantized.relu6(x)", "an operator of an extension"),
        (b"ops.prim.TimePoint()", "nothing that a model computes"),
        (b"torch._sparse_coo_tensor_unsafe(x, x, [4])", "or memory"),
    ],
)
def test_code_that_reaches_beyond_tensors_is_refused(tmp_path: Path, call: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        load(_write_returning(tmp_path / "m.ts", call), inputs=[files.ROWS])


def test_code_in_a_loop_is_checked(tmp_path: Path) -> None:
    loop = b"    for j in range(3):\n      torch.save(x, 'ran')\n"
    path = _plant(tmp_path / "m.ts", loop, before=b"    return ")
    with pytest.raises(SourceError, match="reads or writes files"):
        load(path, inputs=[files.ROWS])


@pytest.mark.parametrize("between", [b".", b"\n"])
def test_an_object_of_an_extension_is_not_built(tmp_path: Path, between: bytes) -> None:
    foreign = b"c__torch__.torch" + between + b"classes.quantized" + (b"\n" if between == b"." else b".")
    path = files.rewrite_archive(
        files.write_torchscript(tmp_path / "m.ts", Counts(), traced=False),
        lambda name, content: (
            content.replace(b"c__torch__.tests.convert.sources.test_torchscript\n", foreign, 1)
            if name.endswith("data.pkl")
            else content
        ),
    )
    with pytest.raises(SourceError, match="an object of a C\\+\\+ extension"):
        load(path, inputs=[files.ROWS])


def test_a_compiled_file_operation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="reads or writes files"):
        load(files.write_torchscript(tmp_path / "m.ts", Saves(), traced=False), inputs=[files.ROWS])


class Rich(nn.Module):
    """Most of the language: a free function, a class, defaults, branches, containers, an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.BatchNorm1d(4)])
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.cell = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor, limit: float = float("inf"), sizes: tuple[int, int] = (1, 2)) -> Tensor:
        """[N, 4] -> [N, 4]."""
        for layer in self.layers:
            x = layer(x)
        with torch.no_grad():
            y = nn.functional.interpolate(x[None, None], scale_factor=2.0)[0, 0]
        named = {"x": x, "y": y}
        rows, _ = self.attention(x[None], x[None], x[None])
        if x.dim() > 2:
            raise ValueError(f"def of class {x.shape}")
        result: Tensor = self.cell(rows)[0][0] + named["x"].clamp(max=limit) * sizes[1]
        return result


@pytest.mark.slow
def test_usual_scripts_are_opened(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Rich().eval()
    source = load(files.write_torchscript(tmp_path / "m.ts", model, traced=False), inputs=[files.ROWS])
    x = torch.randn(2, 4)
    torch.testing.assert_close(source.model(x), model(x))


@pytest.mark.slow
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = files.write_torchscript(tmp_path / "m.ts")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/code/bomb.py", b"#" * 100_000_000)
    with pytest.raises(SourceError, match="far more than it holds"):
        load(path, inputs=[files.ROWS])


def test_deeply_nested_code_is_an_error_and_no_crash(tmp_path: Path) -> None:
    deep = b"(" * 500_000 + b"x" + b")" * 500_000
    path = files.rewrite_archive(
        files.write_torchscript(tmp_path / "m.ts"),
        lambda name, content: (
            content.replace(b"return ", b"return " + deep + b" or ", 1) if _is_code(name) else content
        ),
    )
    with pytest.raises(SourceError, match=r"torch does not write|cannot be opened"):
        load(path, inputs=[files.ROWS])


def test_a_loop_is_kept(tmp_path: Path) -> None:
    source = load(files.write_torchscript(tmp_path / "m.ts", Counts(), traced=False), inputs=[files.ROWS])
    assert torch.equal(source.model(torch.ones(1, 4)), torch.full((1, 4), 0.125))

from pathlib import Path

import numpy as np
import pytest

from convert.errors import UsageError
from convert.model_io.given import describe_undefined, read_samples
from convert.model_io.inputs import parse_input

X = parse_input("x:float32[N,3]")
IDS = parse_input("ids:int64[N,2]")


def test_given_samples_are_read_by_name_and_cut_into_runs(tmp_path: Path) -> None:
    x, ids = np.random.default_rng(0).random((100, 3), np.float32), np.ones((100, 2), np.int64)
    np.savez(tmp_path / "s.npz", ids=ids, x=x)
    sets = read_samples(tmp_path / "s.npz", [X, IDS])
    assert np.array_equal(np.concatenate([samples.arrays[0] for samples in sets]), x)
    assert all(samples.arrays[1].dtype == np.int64 for samples in sets)
    assert [samples.arrays[0].shape[0] for samples in sets] == [64, 36]


def test_a_lone_number_is_that_of_all_samples(tmp_path: Path) -> None:
    scale = parse_input("scale:float32[]")
    np.savez(tmp_path / "s.npz", x=np.ones((100, 3), np.float32), scale=np.float32(2))
    sets = read_samples(tmp_path / "s.npz", [X, scale])
    assert [[array.shape for array in samples.arrays] for samples in sets] == [[(64, 3), ()], [(36, 3), ()]]
    (alone,) = read_samples(tmp_path / "s.npz", [scale])
    assert alone.arrays[0] == 2


def test_given_samples_fill_a_fixed_batch(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((6, 3), np.float32))
    assert len(read_samples(tmp_path / "s.npz", [parse_input("x:float32[2,3]")])) == 3
    with pytest.raises(UsageError, match="6 samples, expected a multiple of the fixed batch of 4"):
        read_samples(tmp_path / "s.npz", [parse_input("x:float32[4,3]")])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"y": np.zeros((2, 3), np.float32)}, "has no array `x`"),
        ({"x": np.zeros((2, 3))}, r"is float64\[2, 3\], expected float32\[N,3\]"),
        ({"x": np.zeros((2, 4), np.float32)}, r"is float32\[2, 4\], expected float32\[N,3\]"),
        ({"x": np.zeros((3,), np.float32)}, "expected float32"),
        ({"x": np.zeros((0, 3), np.float32)}, "holds 0 samples"),
        ({"x": np.array([{}], dtype=object)}, "cannot be read"),
    ],
)
def test_wrong_samples_are_refused_with_a_reason(
    tmp_path: Path, arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], reason: str
) -> None:
    np.savez(tmp_path / "s.npz", **arrays)  # type: ignore[arg-type]  # numpy types the names as its own options
    with pytest.raises(UsageError, match=reason):
        read_samples(tmp_path / "s.npz", [X])


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04broken"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        read_samples(tmp_path / "s.npz", [X])


def test_inputs_with_different_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((2, 3), np.float32), ids=np.zeros((3, 2), np.int64))
    with pytest.raises(UsageError, match=r"different numbers of samples: \[2, 3\]"):
        read_samples(tmp_path / "s.npz", [X, IDS])


@pytest.mark.parametrize(("count", "batches"), [(48, [48]), (96, [48, 48]), (12, [12]), (60, [48, 12])])
def test_samples_are_run_in_batches_within_bounds(tmp_path: Path, count: int, batches: list[int]) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((count, 3), np.float32))
    sets = read_samples(tmp_path / "s.npz", [parse_input("x:float32[4<=N<=50 and N%12==0,3]")])
    assert [len(samples.arrays[0]) for samples in sets] == batches


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((49, 8), "leaves a batch of 1 samples, expected `12<=N<=48"), ((12, 9), r"expected float32\[")],
)
def test_samples_out_of_bounds_are_refused(tmp_path: Path, shape: tuple[int, ...], reason: str) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros(shape, np.float32))
    with pytest.raises(UsageError, match=reason):
        read_samples(tmp_path / "s.npz", [parse_input("x:float32[12<=N<=48,T<=8]")])


def test_numbers_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    x = np.zeros((400, 2), np.float32)
    x[3], x[350, 1] = np.nan, np.inf
    np.savez(tmp_path / "x.npz", x=x, count=np.zeros(400, np.int64))
    specs = [parse_input(text) for text in ("count:int64[N]", "x:float32[N,2]")]
    sets = read_samples(tmp_path / "x.npz", specs)
    (line,) = describe_undefined(sets, specs)
    assert "hold 3 NaN or infinite numbers of `x`, in 2 of 400 samples" in line
    assert describe_undefined((), specs) == ()

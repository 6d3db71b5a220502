from pathlib import Path

import numpy as np
import pytest

from convert.errors import UsageError
from convert.model_io.inputs import parse_input
from convert.model_io.samples import (
    choose_shown_samples,
    generate_samples,
    make_example,
    read_samples,
    take_sample,
)

X = parse_input("x:float32[N,3]")
IDS = parse_input("ids:int64[N,2]")


def test_the_generated_sets_are_the_same_on_every_call() -> None:
    for first, second in zip(generate_samples([X, IDS]), generate_samples([X, IDS]), strict=True):
        assert first.name == second.name
        for one, other in zip(first.arrays, second.arrays, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_free_batch_has_several_sizes_and_extremes() -> None:
    sets = {samples.name: samples.arrays[0] for samples in generate_samples([X])}
    assert {array.shape[0] for array in sets.values()} == {1, 2, 64}
    assert np.abs(sets["large"]).max() > 1e3
    assert 0 < np.abs(sets["tiny"]).max() < 1e-5
    assert not sets["zero"].any()
    assert np.isnan(sets["nan"]).any()
    assert np.isinf(sets["inf"]).any()


def test_a_fixed_batch_keeps_its_size() -> None:
    assert {samples.arrays[0].shape for samples in generate_samples([parse_input("x:float32[4,3]")])} == {
        (4, 3)
    }


def test_integers_are_valid_in_any_table() -> None:
    sets = generate_samples([IDS])
    assert {samples.name for samples in sets} == {"typical, batch 1", "typical, batch 2", "typical, batch 64"}
    assert {int(value) for samples in sets for value in samples.arrays[0].ravel()} <= {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize(("image", "batch"), [(8, 64), (112, 13), (224, 3), (1024, 3)])
def test_large_inputs_are_compared_in_smaller_batches(image: int, batch: int) -> None:
    sets = generate_samples([parse_input(f"x:float32[N,3,{image},{image}]")])
    assert max(samples.arrays[0].shape[0] for samples in sets) == batch


def test_the_example_has_a_batch_of_two() -> None:
    assert [array.shape for array in make_example([X, IDS])] == [(2, 3), (2, 2)]


def test_free_sizes_of_one_name_are_equal() -> None:
    left, right = parse_input("l:float32[N,H,W]"), parse_input("r:float32[M,N,H]")
    shapes = [array.shape for array in make_example([left, right])]
    assert shapes == [(2, 32, 32), (2, 2, 32)]


def test_given_samples_are_read_by_name_and_cut_into_runs(tmp_path: Path) -> None:
    x, ids = np.random.default_rng(0).random((100, 3), np.float32), np.ones((100, 2), np.int64)
    np.savez(tmp_path / "s.npz", ids=ids, x=x)
    sets = read_samples(tmp_path / "s.npz", [X, IDS])
    assert np.array_equal(np.concatenate([samples.arrays[0] for samples in sets]), x)
    assert all(samples.arrays[1].dtype == np.int64 for samples in sets)
    assert [samples.arrays[0].shape[0] for samples in sets] == [64, 36]


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


def test_one_sample_of_a_free_batch_is_taken() -> None:
    many = generate_samples([X, IDS])[2]
    one = take_sample(many, 5)
    for whole, part in zip(many.arrays, one.arrays, strict=True):
        np.testing.assert_array_equal(part, whole[5:6])
    fixed = generate_samples([parse_input("x:float32[4,3]")])[0]
    assert take_sample(fixed, 2) is fixed
    assert take_sample(many, 64) is many


def test_shown_samples_are_the_users_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.ones((70, 3), np.float32))
    given = read_samples(tmp_path / "s.npz", [X])
    assert choose_shown_samples((*generate_samples([X]), *given)) == given
    (typical,) = choose_shown_samples(generate_samples([X]))
    assert typical.name == "typical, batch 64"


def test_shown_samples_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.model_io.samples.SHOWN_NUMBERS", {"given": 66 * 3, "generated": 10})
    np.savez(tmp_path / "s.npz", x=np.ones((70, 3), np.float32))
    given = read_samples(tmp_path / "s.npz", [X])
    assert [one.arrays[0].shape[0] for one in choose_shown_samples(given)] == [64]
    assert [one.arrays[0].shape[0] for one in choose_shown_samples(generate_samples([X]))] == [3]
    assert [
        one.arrays[0].shape[0]
        for one in choose_shown_samples(generate_samples([parse_input("x:float32[4,3]")]))
    ] == [4]


def test_other_free_sizes_differ_from_each_other() -> None:
    sets = generate_samples([parse_input("x:float32[N,3,H,W]"), parse_input("m:bool[N,H]")])
    others = [[array.shape for array in samples.arrays] for samples in sets if samples.optional]
    assert others == [[(1, 3, 33, 34), (1, 33)], [(1, 3, 64, 64), (1, 64)]]
    assert not any(samples.typical for samples in sets if samples.optional)


def test_large_other_sizes_are_left_out() -> None:
    sets = generate_samples([parse_input("x:float32[N,3,512,T]")])
    assert [samples.name for samples in sets if samples.optional] == [
        "other sizes, T 33",
        "other sizes, T 64",
    ]
    assert not any(samples.optional for samples in generate_samples([parse_input("x:float32[N,64,512,T]")]))


@pytest.mark.parametrize(
    ("dtype", "least", "most"), [("uint8", 0, 255), ("int8", -128, 127), ("int32", 0, 1)]
)
def test_eight_bit_integers_cover_their_range(dtype: str, least: int, most: int) -> None:
    sets = generate_samples([parse_input(f"x:{dtype}[N,1000]")])
    assert min(int(samples.arrays[0].min()) for samples in sets) == least
    assert max(int(samples.arrays[0].max()) for samples in sets) == most


def test_an_input_without_axes_has_samples() -> None:
    for samples in generate_samples([parse_input("x:float32[]"), parse_input("n:int64[]")]):
        assert [(type(array), array.shape) for array in samples.arrays] == [(np.ndarray, ())] * 2

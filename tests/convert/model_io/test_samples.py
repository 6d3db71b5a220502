from pathlib import Path

import numpy as np
import pytest

from convert.model_io.array import Array
from convert.model_io.given import read_samples
from convert.model_io.inputs import InputSpec, parse_input, share_size_bounds
from convert.model_io.other_sizes import OtherSizes
from convert.model_io.patterns import IntegerRange, choose_ranges
from convert.model_io.samples import (
    WIDE_BATCH,
    choose_shown_samples,
    count_other_rows,
    generate_samples,
    make_example,
    sample_sizes,
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
    assert {array.shape[0] for array in sets.values()} == {1, 2, WIDE_BATCH, 64}
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
    assert {int(value) for samples in generate_samples([IDS]) for value in samples.arrays[0].ravel()} == {
        0,
        1,
    }


MASK = parse_input("mask:bool[N,4]")
MASK_OF_T = parse_input("mask:bool[N,T]")


def _get_arrays(inputs: list[InputSpec], name: str) -> tuple[Array, ...]:
    (arrays,) = [samples.arrays for samples in generate_samples(inputs) if samples.name == name]
    return arrays


@pytest.mark.parametrize("mask", [MASK, parse_input("mask:int64[N,4]"), parse_input("mask:int64[N,4]<2")])
def test_a_mask_is_tried_at_its_extremes(mask: InputSpec) -> None:
    inputs = [X, mask]
    assert not _get_arrays(inputs, "mask all 0")[1].any()
    assert _get_arrays(inputs, "mask all 1")[1].all()
    (off, rest), (on, others) = (_get_arrays(inputs, f"mask row of {number}")[1] for number in (0, 1))
    assert not off.any()
    assert on.all()
    assert {*rest.tolist(), *others.tolist()} == {0, 1}
    assert all(_get_arrays(inputs, name)[0].std() > 0.3 for name in ("mask all 0", "mask row of 0"))


def test_a_square_mask_has_one_row_masked_in_every_sample() -> None:
    (mask,) = _get_arrays([parse_input("mask:bool[N,3,50,50]")], "mask row of 0")
    assert not mask[..., 0, :].any()
    assert mask[..., 1:, :].any(-1).all()


def test_extremes_of_several_inputs_come_alone_and_together() -> None:
    inputs = [MASK, parse_input("ids:int64[N,20]<90"), X]
    mask, ids, _ = _get_arrays(inputs, "ids all 89")
    assert ids.min() == 89
    assert mask.any()
    mask, ids, x = _get_arrays(inputs, "all whole numbers least")
    assert not mask.any()
    assert not ids.any()
    assert x.any()
    assert (_get_arrays(inputs, "x all one")[2] == 1).all()


def test_a_model_may_refuse_extremes_of_whole_numbers() -> None:
    required = {samples.name for samples in generate_samples([MASK, IDS]) if not samples.optional}
    assert required == {"typical, batch 1", "typical, batch 2", "typical, batch 64"}


def test_many_inputs_are_tried_alone_in_part() -> None:
    masks = [parse_input(f"m{place}:bool[N]") for place in range(40)]
    names = [samples.name for samples in generate_samples(masks)]
    assert "m7 all 0" in names
    assert len(names) < 40
    assert not any(array.any() for array in _get_arrays(masks, "all whole numbers least"))


def test_a_wide_range_has_numbers_of_every_magnitude() -> None:
    limits = np.iinfo(np.int64)
    ranges = {"ids": IntegerRange(int(limits.min), int(limits.max), (0, 1))}
    sets = {
        samples.name: samples for samples in generate_samples([parse_input("ids:int64[N,90]")], 64, ranges)
    }
    ids = sets[f"ids {limits.min} to {limits.max}"].arrays[0]
    assert {limits.min, limits.max, -1} <= set(ids.flat)
    assert {len(str(abs(int(number)))) for number in ids.flat} >= set(range(1, 19))
    assert set(sets["typical, batch 64"].arrays[0].flat) == {0, 1}
    assert not sets["ids all 0"].arrays[0].any()
    assert sets["ids all 1"].arrays[0].all()


def test_an_extreme_has_numbers_of_both_signs_however_few_a_sample_has() -> None:
    sets = {samples.name: samples.arrays[0] for samples in generate_samples([parse_input("x:float32[N,2]")])}
    for name in ("large", "tiny", "boundary"):
        several = sets[f"{name}, batch {WIDE_BATCH}"]
        assert len(several) == WIDE_BATCH
        assert several.min() < 0 < several.max()
    images = generate_samples([parse_input("x:float32[N,3,8,8]")])
    assert not any(samples.name.startswith("large, ") for samples in images)


def test_every_row_is_counted() -> None:
    inputs = [MASK, IDS, X]
    others = [samples for samples in generate_samples(inputs) if samples.name != "typical, batch 64"]
    expected = sum(len(samples.arrays[0]) for samples in others)
    assert count_other_rows(inputs, choose_ranges(inputs)) == expected


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
    others = [[array.shape for array in samples.arrays] for samples in sets if "other sizes" in samples.name]
    assert others[:2] == [[(1, 3, 33, 34), (1, 33)], [(1, 3, 64, 64), (1, 64)]]
    assert not any(samples.typical for samples in sets if samples.optional)


def test_large_other_sizes_are_left_out() -> None:
    sets = generate_samples([parse_input("x:float32[N,3,512,T]")])
    assert [samples.name for samples in sets if samples.optional and samples.finite] == [
        "other sizes, T 33",
        "other sizes, T 64",
        "other sizes, N 2, T 1",
        "other sizes, T 1",
    ]
    large = generate_samples([parse_input("x:float32[N,64,512,T]")])
    assert not any("33" in samples.name for samples in large)


def test_the_smallest_sizes_come_alone_and_together() -> None:
    sets = generate_samples([parse_input("x:float32[N,3,H,W]")])
    others = [samples for samples in sets if "other sizes" in samples.name][2:]
    assert [samples.arrays[0].shape for samples in others] == [(2, 3, 1, 32), (2, 3, 32, 1), (1, 3, 1, 1)]
    assert [samples.advice for samples in others][:2] == [
        "if `H>=2` is enough, say so: --input 'x:float32[N,3,H>=2,W]'",
        "if `W>=2` is enough, say so: --input 'x:float32[N,3,H,W>=2]'",
    ]


def test_sizes_stay_within_their_bounds() -> None:
    inputs = share_size_bounds([parse_input("ids:int64[3<=N<=5,8<=T<=200 and T%8==0]"), MASK_OF_T])
    shapes = {array.shape for samples in generate_samples(inputs) for array in samples.arrays}
    assert shapes == {
        *((3, 32), (4, 32), (5, 32)),
        *((3, 40), (3, 64), (3, 8), (3, 200)),
    }
    assert make_example(inputs)[0].shape == (3, 32)


def test_a_batch_of_two_at_least_is_never_one() -> None:
    sets = generate_samples([parse_input("x:float32[2<=N<=3,4]")])
    assert [samples.name for samples in sets if samples.typical] == ["typical, batch 2", "typical, batch 3"]
    assert [samples.advice for samples in sets if samples.typical] == ["", ""]
    assert {len(samples.arrays[0]) for samples in sets} == {2, 3}


def test_a_failure_of_one_sample_has_advice() -> None:
    first, *others = generate_samples([parse_input("x:float32[N,4]")])
    assert first.advice == "if `N>=2` is enough, say so: --input 'x:float32[N>=2,4]'"
    assert {samples.advice for samples in others} == {""}


def test_samples_of_chosen_sizes_may_be_refused() -> None:
    (samples,) = sample_sizes([X, IDS], [OtherSizes({"N": 17})], choose_ranges([X, IDS]))
    assert [array.shape for array in samples.arrays] == [(17, 3), (17, 2)]
    assert samples.optional
    assert samples.name == "sizes N 17"


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

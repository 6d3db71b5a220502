import numpy as np
import pytest

from convert.manifest.size_bounds import SizeBounds
from serve.engine.datatypes import BY_NAME
from serve.engine.errors import InvalidInputError
from serve.engine.signature import Array, Signature, TensorSpec, count_elements


def _spec(name: str, datatype: str, *shape: int | str | None) -> TensorSpec:
    return TensorSpec(name, BY_NAME[datatype], shape)


SIGNATURE = Signature(
    inputs=(_spec("image", "FP32", "N", 2), _spec("mask", "BOOL", "N"), _spec("note", "BYTES", None)),
    outputs=(_spec("label", "INT64", "N"), _spec("score", "FP32", "N", 10)),
)


def _inputs(**changed: Array) -> dict[str, Array]:
    good: dict[str, Array] = {
        "image": np.zeros((3, 2), np.float32),
        "mask": np.zeros(3, np.bool_),
        "note": np.array(["a"], np.object_),
    }
    return good | changed


def test_inputs_that_fit_are_taken() -> None:
    SIGNATURE.check_inputs(_inputs())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": np.zeros((3, 2))}, "input `image` has the wrong datatype: expected `FP32`, got `FP64`"),
        ({"note": np.array(["a"])}, "input `note` has the wrong datatype: expected `BYTES`, got `<U1`"),
        (
            {"image": np.zeros((3, 5), np.float32)},
            "input `image` has the wrong shape: expected `[N, 2]` where N=3, got `[3, 5]`",
        ),
        ({"image": np.zeros(2, np.float32)}, "expected `[N, 2]`, got `[2]`"),
        (
            {"mask": np.zeros(4, np.bool_)},
            "input `mask` has the wrong shape: expected `[N]` where N=3, got `[4]`",
        ),
        ({"note": np.array([["a"]], np.object_)}, "expected `[?]`, got `[1, 1]`"),
        ({"extra": np.zeros(1)}, "the model has no input `extra`; expected: `image`, `mask`, `note`"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(changed: dict[str, Array], message: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        SIGNATURE.check_inputs(_inputs(**changed))
    assert message in str(error.value)


BOUNDED = SIGNATURE.bound({"N": SizeBounds("N", 2, 9, 3)})


@pytest.mark.parametrize(
    ("rows", "allowed"), [(0, False), (1, False), (3, True), (4, False), (9, True), (12, False)]
)
def test_a_size_out_of_bounds_is_refused(rows: int, allowed: bool) -> None:
    inputs = _inputs(image=np.zeros((rows, 2), np.float32), mask=np.zeros(rows, np.bool_))
    SIGNATURE.check_inputs(inputs)
    if allowed:
        BOUNDED.check_inputs(inputs)
        return
    with pytest.raises(InvalidInputError) as error:
        BOUNDED.check_inputs(inputs)
    assert str(error.value) == (
        "input `image` has the wrong size at axis 0: expected `2<=N<=9 and N%3==0`, "
        f"got `{rows}` in `[{rows}, 2]`"
    )


def test_zeros_are_within_the_bounds() -> None:
    assert [array.shape for array in BOUNDED.zeros().values()] == [(3, 2), (3,), (1,)]
    BOUNDED.check_inputs(BOUNDED.zeros())


def test_rows_are_fitted_to_the_bounds() -> None:
    assert [BOUNDED.fit_rows(rows) for rows in (1, 2, 3, 8, 32)] == [0, 0, 3, 6, 9]
    assert SIGNATURE.fit_rows(32) == 32


def test_bounds_of_other_sizes_change_nothing() -> None:
    assert SIGNATURE.bound({"M": SizeBounds("M", 2)}) == SIGNATURE


def test_a_missing_input_is_named() -> None:
    inputs = _inputs()
    del inputs["mask"]
    with pytest.raises(InvalidInputError, match="input `mask` is missing; expected: `image`, `mask`, `note`"):
        SIGNATURE.check_inputs(inputs)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (None, ("label", "score")),
        ([], ("label", "score")),
        (["score"], ("score",)),
        (["score", "label"],) * 2,
    ],
)
def test_outputs_come_in_the_order_asked_or_all(asked: list[str] | None, chosen: tuple[str, ...]) -> None:
    assert SIGNATURE.choose_outputs(asked) == tuple(chosen)


@pytest.mark.parametrize(
    ("asked", "message"),
    [(["x"], "no output `x`; expected: `label`, `score`"), (["score"] * 2, "output `score` already exists")],
)
def test_unknown_and_repeated_outputs_are_refused(asked: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SIGNATURE.choose_outputs(asked)


def test_zeros_have_1_for_sizes_that_vary() -> None:
    zeros = SIGNATURE.zeros()
    SIGNATURE.check_inputs(zeros)
    assert {name: array.shape for name, array in zeros.items()} == {
        "image": (1, 2),
        "mask": (1,),
        "note": (1,),
    }
    assert zeros["note"].tolist() == [""]


def test_dims_write_minus_one_for_a_size_that_varies() -> None:
    assert _spec("x", "FP32", "N", 3, None).dims == [-1, 3, -1]


def test_elements_are_counted_over_all_inputs_and_never_none() -> None:
    assert count_elements(_inputs()) == 6 + 3 + 1
    assert count_elements({}) == 1
    assert count_elements({"x": np.zeros((0, 5))}) == 5


def test_the_sizes_of_an_empty_array_count_since_a_model_may_fill_them() -> None:
    assert count_elements({"x": np.zeros((10**9, 0))}) == 10**9

import pytest

from adaptive_act import TensorSpec
from convert.errors import UsageError
from convert.model_io.inputs import InputSpec, build_inputs, parse_input, require_distinct


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:float32[N,3,32,32]", InputSpec("x", "float32", ("N", 3, 32, 32))),
        ("ids:int64[?, 7]", InputSpec("ids", "int64", ("batch", 7))),
        ("a.b:float64[2,?]", InputSpec("a.b", "float64", (2, "a_b_1"))),
        ("flag:bool[]", InputSpec("flag", "bool", ())),
        ("ids:int64[N,T]<30522", InputSpec("ids", "int64", ("N", "T"), 30522)),
        ("input/x:0:float32[2]", InputSpec("input/x:0", "float32", (2,))),
    ],
)
def test_an_input_is_parsed(text: str, expected: InputSpec) -> None:
    assert parse_input(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "cannot be read"),
        ("x:float32", "cannot be read"),
        ("x:float32[3", "cannot be read"),
        ("x:float16[N,3]", "has type `float16`"),
        ("x:float32[N,-3]", "has size `-3`"),
        ("x:float32[N,0]", "sizes of at least 1"),
        ("x:float32[N,3,]", "has size ``"),
        ("x:float32[1,1,1,1,1,1,1,1,1]", "has 9 axes"),
        ("x:float32[99999999,99]", "more than"),
        ("x" * 129 + ":float32[N]", "is not one"),
        ("x:float32[N]<5", "have a bound"),
        ("x:bool[N]<2", "have a bound"),
        ("x:int8[N]<300", "expected 1 to 128"),
        ("x:int64[N]<0", "expected 1 to"),
        ("x:int64[N]<-1", "cannot be read"),
        ("x:float32[" + "9" * 400 + "]", "has size"),
    ],
)
def test_a_wrong_input_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_input(text)


def test_the_free_sizes_of_a_checkpoint_get_names() -> None:
    specs = [TensorSpec("x", "float32", (None, 3, None)), TensorSpec("m", "int64", (None,))]
    assert [spec.shape for spec in build_inputs(specs)] == [("batch", 3, "x_2"), ("batch",)]


def test_two_inputs_of_a_name_are_refused() -> None:
    with pytest.raises(UsageError, match="`x` is described twice"):
        require_distinct([parse_input("x:float32[2]"), parse_input("x:float32[3]")])


def test_no_inputs_are_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match="not known") as refused:
        require_distinct([])
    assert refused.value.hint is not None
    assert "--input" in refused.value.hint

import pytest

from adaptive_act.study.syntax import NamedOptions, split_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ReLU", NamedOptions("ReLU")),
        ("NEAAF(side=both,gamma=0.05)", NamedOptions("NEAAF", {"side": "both", "gamma": 0.05})),
        (" mlp( width = 64, depth=2 ) ", NamedOptions("mlp", {"width": 64, "depth": 2})),
        ("X(a=true, b=-1e-3)", NamedOptions("X", {"a": True, "b": -0.001})),
    ],
)
def test_names_and_options_are_read_and_written_back(text: str, expected: NamedOptions) -> None:
    assert NamedOptions.parse(text) == expected
    assert NamedOptions.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "(a=1)", "X(", "X(1)", "X(a=1", "X(a=f(1))", "__import__('os')", "X(a='b')"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        NamedOptions.parse(text)


def test_commas_within_parentheses_do_not_separate() -> None:
    assert split_list("PReLU, NEAAF(side=both,gamma=1) per channel,,ELU") == [
        "PReLU",
        "NEAAF(side=both,gamma=1) per channel",
        "ELU",
    ]

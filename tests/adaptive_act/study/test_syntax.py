import pytest

from adaptive_act.study.syntax import Named, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ReLU", Named("ReLU")),
        ("NEAAF(side=both,gamma=0.05)", Named("NEAAF", {"side": "both", "gamma": 0.05})),
        (" mlp( width = 64, depth=2 ) ", Named("mlp", {"width": 64, "depth": 2})),
        ("X(a=true, b=-1e-3)", Named("X", {"a": True, "b": -0.001})),
    ],
)
def test_names_and_options_are_read_and_written_back(text: str, expected: Named) -> None:
    assert Named.parse(text) == expected
    assert Named.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "(a=1)", "X(", "X(1)", "X(a=1", "X(a=f(1))", "__import__('os')", "X(a='b')"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Named.parse(text)


def test_commas_within_parentheses_do_not_separate() -> None:
    assert split("PReLU, NEAAF(side=both,gamma=1) per channel,,ELU") == [
        "PReLU",
        "NEAAF(side=both,gamma=1) per channel",
        "ELU",
    ]

import numpy as np

from serve.protocol.long_values import LongList, LongObject, RaggedNumbers, to_plain


def _long(*parts: object) -> LongList:
    values = LongList()
    values.parts += parts  # type: ignore[arg-type]  # the test's own parts
    return values


def test_a_long_list_has_the_values_of_its_parts() -> None:
    inner = _long(np.array([1.5, 2]))
    values = _long(np.array([[1, 2], [3, 4]]), ["a", None], inner, LongObject(b=inner))
    assert len(values) == 6
    assert to_plain(values) == [[1, 2], [3, 4], "a", None, [1.5, 2.0], {"b": [1.5, 2.0]}]
    assert list(values)[2:] == ["a", None, inner, {"b": inner}]


def test_ragged_numbers_are_lists_for_who_asks() -> None:
    ragged = RaggedNumbers(np.array([1, 2, 3]), b"[[1], [2, 3], []]", 3)
    values = _long(ragged, ["a"])
    assert len(values) == 4
    assert list(values) == to_plain(values) == [[1], [2, 3], [], "a"]
    assert not _long(ragged).is_numeric


def test_a_list_is_numeric_if_all_its_parts_are() -> None:
    numbers = _long(np.array([1]))
    assert numbers.is_numeric
    assert _long(numbers, np.array([2.5])).is_numeric
    assert not _long(["a"]).is_numeric
    assert not _long(np.array([1]), _long(LongObject())).is_numeric

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.engine.errors import ModelUnloadedError
from serve.engine.memory.plan import plan_room

Models = Mapping[str, tuple[int, int, int, bool]]


def report(limit: int, models: Models, need: tuple[int, int] = (0, 10)) -> dict[str, Any]:
    return {"limit": limit, "need": list(need), "models": {name: list(each) for name, each in models.items()}}


def test_nothing_goes_while_there_is_room_or_no_limit() -> None:
    assert plan_room("new", [report(30, {"a": (0, 10, 1, False), "b": (0, 10, 2, False)})]) == []
    assert plan_room("new", [report(0, {"a": (0, 10**9, 1, False)})]) == []
    assert plan_room("a", [report(5, {"a": (0, 10, 1, False)})]) == []  # it is loaded
    assert plan_room("new", []) == []


def test_those_used_longest_ago_go_first_and_no_more_than_needed() -> None:
    models: Models = {"a": (0, 10, 3, False), "b": (0, 10, 1, False), "c": (0, 10, 2, False)}
    assert plan_room("new", [report(30, models)]) == ["b"]
    assert plan_room("new", [report(30, models, (0, 20))]) == ["b", "c"]


def test_what_is_in_use_stays() -> None:
    models: Models = {"a": (0, 10, 1, True), "b": (0, 10, 2, False)}
    assert plan_room("new", [report(20, models)]) == ["b"]
    with pytest.raises(ModelUnloadedError, match="are taken by models that are in use or pinned"):
        plan_room("new", [report(20, models, (0, 15))])


def test_a_model_that_is_alone_is_tried_whatever_is_expected_of_it() -> None:
    assert plan_room("new", [report(20, {}, (0, 30))]) == []
    assert plan_room("new", [report(20, {"a": (0, 10, 1, False)}, (0, 30))]) == ["a"]


def test_all_processes_count_and_what_they_share_counts_once() -> None:
    first = report(100, {"a": (40, 5, 1, False), "b": (0, 10, 5, False)}, (20, 5))
    second = report(100, {"a": (40, 5, 9, False), "b": (0, 10, 6, False)}, (20, 5))
    # a: 40 + 2 * 5, b: 2 * 10, and 20 + 2 * 5 of the new one are 100.
    assert plan_room("new", [first, second]) == []
    first["limit"] = second["limit"] = 99
    assert plan_room("new", [first, second]) == ["b"]  # the other one was used later, by the second


def test_room_is_made_for_the_processes_that_lack_the_model() -> None:
    first: Models = {"new": (20, 10, 9, False), "a": (0, 10, 1, False)}
    second: Models = {"a": (0, 10, 1, False), "b": (0, 10, 2, False)}
    # new: 20 + 10, a: 2 * 10, b: 10, and 10 of the process that lacks the new one are 70.
    assert plan_room("new", [report(70, first, (20, 10)), report(70, second, (20, 10))]) == []
    assert plan_room("new", [report(69, first, (20, 10)), report(69, second, (20, 10))]) == ["a"]
    assert plan_room("new", [report(5, first, (20, 10)), report(5, first, (20, 10))]) == []


def test_a_model_in_use_by_one_process_stays() -> None:
    reports = [report(19, {"a": (0, 9, 1, held)}, (0, 1)) for held in (False, True)]
    with pytest.raises(ModelUnloadedError):
        plan_room("new", reports)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 9), st.booleans()), max_size=8),
    st.integers(1, 200),
    st.integers(0, 100),
)
def test_what_stays_fits(models: list[tuple[int, int, int, bool]], limit: int, need: int) -> None:
    named = {f"m{number}": each for number, each in enumerate(models)}
    try:
        victims = plan_room("new", [report(limit, named, (0, need))])
    except ModelUnloadedError:
        assert need + sum(shared + own for shared, own, _, held in models if held) > limit
        return
    if len(victims) == len(models):
        return  # alone it is loaded in any case
    left = {name: each for name, each in named.items() if name not in victims}
    assert need + sum(shared + own for shared, own, *_ in left.values()) <= limit
    assert not any(named[name][3] for name in victims)

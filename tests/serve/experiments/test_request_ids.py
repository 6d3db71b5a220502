import re
from itertools import islice

import pytest

from serve.experiments.request_ids import IssuedId, RequestIds, number_comparison
from serve.experiments.units import hash_unit

KEY = bytes(range(32))
NUMBER = number_comparison("exp", 3)


def issue(ids: RequestIds, unit: str | None = "anna", number: int = NUMBER) -> str:
    return ids.begin(number, unit) + next(ids.ends)


def test_an_id_says_its_unit_and_comparison_in_every_process() -> None:
    issued = issue(RequestIds(KEY))
    assert RequestIds(KEY).read(issued) == IssuedId(NUMBER, hash_unit(KEY, "anna"))
    assert re.fullmatch("[A-Za-z0-9_-]{52}", issued)


def test_a_request_that_is_its_own_unit_is_named_by_the_end_of_its_id() -> None:
    ids = RequestIds(KEY)
    one, other = issue(ids, None), issue(ids, None)
    assert ids.read(one) == IssuedId(NUMBER, hash_unit(KEY, one[40:]))
    assert ids.read(other) == IssuedId(NUMBER, hash_unit(KEY, other[40:]))


def test_ids_differ() -> None:
    ids = RequestIds(KEY)
    assert len({issue(ids) for _ in range(2000)}) == 2000
    assert not {*islice(ids.ends, 600)} & {*islice(RequestIds(KEY).ends, 600)}


def test_a_request_that_takes_no_part_has_an_id_of_no_unit() -> None:
    ids = RequestIds(KEY)
    assert ids.read(ids.no_part + next(ids.ends)) is None


@pytest.mark.parametrize("place", range(40))
def test_no_character_of_what_an_id_says_can_be_changed(place: int) -> None:
    ids = RequestIds(KEY)
    issued = issue(ids)
    forged = issued[:place] + ("A" if issued[place] != "A" else "B") + issued[place + 1 :]
    assert ids.read(forged) is None


@pytest.mark.parametrize(
    "text", ["", "r1", "x" * 52, "A" * 53, "é" * 52, "A" * 51 + "\n", "\0" * 52, " " * 52]
)
def test_other_ids_say_nothing(text: str) -> None:
    assert RequestIds(KEY).read(text) is None


def test_an_id_of_another_installation_says_nothing() -> None:
    assert RequestIds(bytes(32)).read(issue(RequestIds(KEY))) is None


def test_who_names_a_unit_cannot_learn_the_tag_of_another() -> None:
    # The digest of a unit is in its ids, so a tag must not be such a digest.
    ids = RequestIds(KEY)
    payload = NUMBER.to_bytes(5, "big") + hash_unit(KEY, "bert")
    assert ids._tag(payload) != hash_unit(KEY, payload.decode("latin-1"))[:9]
    assert number_comparison("exp", 3) != number_comparison("exp", 4) != number_comparison("exp/4", 4)

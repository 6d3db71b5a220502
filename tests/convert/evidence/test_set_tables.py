from convert.evidence.set_tables import MOST_GIVEN, tabulate_sets
from convert.manifest.manifest import SetRecord


def _make_sets(count: int) -> list[SetRecord]:
    given = [
        SetRecord(f"given, {64 * place}", 64, place, 2, 1, 1, {"y": place / 100}) for place in range(count)
    ]
    return [SetRecord("zeros", 1, 0, 0, 0), *given, SetRecord("large", 3, 0, 0, 0)]


def test_a_few_given_runs_have_a_row_each() -> None:
    assert len(tabulate_sets(_make_sets(MOST_GIVEN)).rows) == MOST_GIVEN + 2


def test_many_given_runs_share_a_row_with_their_sums_and_their_worst() -> None:
    rows = tabulate_sets(_make_sets(63)).rows
    assert [row[0] for row in rows] == ["zeros", "given, 0 … 3968", "large"]
    assert rows[1][1:] == ("4032", "62 %", str(62 * 63 // 2), "63 of 126", "63")

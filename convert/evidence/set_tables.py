"""The table of the sets of samples on which a file was compared."""

from collections.abc import Iterable, Sequence

from adaptact.languages.recorded import retell_set
from adaptact.languages.spoken import say, say_all
from adaptive_act.explain.wording import format_share
from convert.evidence.tables import NOTHING, Row, TextTable
from convert.manifest.manifest import SetRecord

MOST_GIVEN = 4
"""Runs of given samples that have a row each: thousands of samples make dozens, all alike."""
_GIVEN = "given, "


def tabulate_sets(sets: Iterable[SetRecord]) -> TextTable:
    """The sets of samples, and the largest share of the allowance that an output uses in each.

    More than a few runs of given samples stand in one row.
    """
    header = say_all(
        "samples", "number", "share of allowance used", "overflowed", "NaN and Inf kept", "NaN and Inf gained"
    )
    return TextTable(header, [_set_row(record) for record in _join_given(list(sets))])


def _set_row(record: SetRecord) -> Row:
    kept = record.non_finite - record.non_finite_lost
    return (
        retell_set(record.name),
        str(record.samples),
        format_share(max(record.used.values())) if record.used else NOTHING,
        str(record.overflowed) if record.overflowed else NOTHING,
        say("{part} of {whole}", part=kept, whole=record.non_finite) if record.non_finite else NOTHING,
        str(record.non_finite_gained) if record.non_finite_gained else NOTHING,
    )


def _join_given(sets: Sequence[SetRecord]) -> Sequence[SetRecord]:
    given = [record for record in sets if record.name.startswith(_GIVEN)]
    if len(given) <= MOST_GIVEN:
        return sets
    outputs = dict.fromkeys(output for record in given for output in record.used)
    joined = SetRecord(
        name=f"{given[0].name} … {given[-1].name.removeprefix(_GIVEN)}",
        samples=sum(record.samples for record in given),
        overflowed=sum(record.overflowed for record in given),
        non_finite=sum(record.non_finite for record in given),
        non_finite_lost=sum(record.non_finite_lost for record in given),
        non_finite_gained=sum(record.non_finite_gained for record in given),
        used={output: max(record.used.get(output, 0.0) for record in given) for output in outputs},
    )
    first = sets.index(given[0])
    return [*sets[:first], joined, *(record for record in sets[first:] if record not in given)]

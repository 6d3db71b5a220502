"""What an export prints, and the parts of a manifest that several commands print."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adaptact.console import table
from adaptact.languages.catalogue import mark
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say
from adaptact.text import escape_line
from convert.manifest.manifest import Manifest, ParityRecord
from convert.manifest.records import RoundingRecord


def print_export(console: Console, manifest: Manifest, file: Path, report: Path | None) -> None:
    """The console shows what was written and what it is worth, a line each, and where the rest is shown."""
    for line in _summarise_export(manifest, file):
        print_line(console, line)
    more = (
        say("more: adaptact inspect {file}", file=file)
        if report is None
        else say("report: {file}", file=report)
    )
    console.print(Text(escape_line(more)), soft_wrap=True)  # a path is to be copied whole


def _summarise_export(manifest: Manifest, file: Path) -> Iterator[str]:
    from convert.evidence import (  # noqa: PLC0415  # it loads torch
        front_tables,
        provider_tables,
        rounding_tables,
        tables,
    )

    parity, rounding = manifest.parity, manifest.rounding
    passed = mark("{file}: {size} bytes, parity passed")
    if rounding is not None:
        passed = mark("{file}: {size} bytes, parity before it was rounded passed")
    yield say(passed, file=file, size=f"{file.stat().st_size:,}")
    closest = max(parity.outputs, key=lambda output: output.file_error / (output.allowed or 1.0))
    errors = say(
        "{output}: largest error {error}, allowed {allowed}",
        output=closest.name,
        error=f"{closest.file_error:.2g}",
        allowed=f"{closest.allowed:.2g}",
    )
    many = len(parity.outputs)
    yield errors + ("" if many == 1 else say(", the closest of {count} outputs", count=many))
    yield _describe_strength(parity)
    if rounding is not None:
        loss = max(rounding.losses, key=lambda each: each.largest)
        yield say(
            "{precision}: {output} loses {loss} of its scale at most, allowed {allowed}",
            precision=manifest.precision,
            output=loss.output,
            loss=f"{loss.largest:.2%}",
            allowed=f"{rounding.max_error:.2%}",
        )
        if rounding.cost is not None:
            yield rounding_tables.describe_cost(rounding.cost)
        if rounding.front is not None:
            line = front_tables.describe_front(rounding.front)
            yield say("places chosen by time and loss: {choice}", choice=line)
    yield from (say("source: {note}", note=retell(note)) for note in manifest.source_notes)
    if manifest.fired:
        times = sum(record.times for record in manifest.fired)
        yield say(
            "rewritten exactly: {places} places, by {rules} rules", places=times, rules=len(manifest.fired)
        )
    if manifest.choice is not None:
        line = provider_tables.describe_choice(manifest.choice)
        yield say("provider chosen by measuring: {choice}", choice=line)
    if manifest.tuning is not None:
        yield say("tuned: {target}", target=tables.describe_tuning(manifest.tuning))
    yield from provider_tables.warn_of_placement(manifest.placement)


def _describe_strength(parity: ParityRecord) -> str:
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    coverage = parity.coverage
    if coverage is None or not coverage.reasons:
        return say("parity is {coverage}", coverage=tables.describe_coverage(parity))
    because = say("parity is weak, because {reason}", reason=retell(coverage.reasons[0]))
    more = len(coverage.reasons) - 1
    return because + (say(" (and {count} more reasons)", count=more) if more else "")


def print_line(console: Console, line: str) -> None:
    """The line is on the console, escaped; a long one is folded."""
    console.print(Text(escape_line(line, longest=None)))


def print_coverage(console: Console, parity: ParityRecord) -> None:
    """The console shows how much parity proves, why it is weak, and the whole numbers compared."""
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    print_line(console, say("parity is {coverage}", coverage=tables.describe_coverage(parity)))
    for header, rows in (tables.tabulate_weakness(parity), tables.tabulate_integers(parity)):
        if rows:
            console.print(table(header, rows))


def print_rounding(console: Console, precision: str, record: RoundingRecord, *, passed: bool = True) -> None:
    """The console shows what the file lost in fewer bits, and which layers stayed in float."""
    from convert.evidence import front_tables, rounding_tables  # noqa: PLC0415  # it loads torch

    verdict = say("gate passed: {what}") if passed else say("gate FAILED: {what}")
    print_line(console, verdict.format(what=rounding_tables.describe_rounding(precision, record)))
    if record.cost is not None:
        print_line(console, rounding_tables.describe_cost(record.cost))
    console.print(table(*rounding_tables.tabulate_losses(record)))
    if record.kept:
        console.print(table(*rounding_tables.tabulate_kept(record)))
    if record.front is not None:
        line = front_tables.describe_front(record.front)
        print_line(console, say("places chosen by time and loss: {choice}", choice=line))
        console.print(table(*front_tables.tabulate_front(record.front)))

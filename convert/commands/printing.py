"""Parts of a manifest that several commands print."""

from rich.console import Console
from rich.text import Text

from adaptact.console import table
from adaptact.text import escape_line
from convert.manifest.manifest import ParityRecord
from convert.manifest.records import RoundingRecord


def print_line(console: Console, line: str) -> None:
    """The line is on the console, escaped; a long one is folded."""
    console.print(Text(escape_line(line, longest=None)))


def print_coverage(console: Console, parity: ParityRecord) -> None:
    """The console shows how much parity proves, why it is weak, and the whole numbers compared."""
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    print_line(console, f"parity is {tables.describe_coverage(parity)}")
    for header, rows in (tables.tabulate_weakness(parity), tables.tabulate_integers(parity)):
        if rows:
            console.print(table(header, rows))


def print_rounding(console: Console, precision: str, record: RoundingRecord, verdict: str = "passed") -> None:
    """The console shows what the file lost in fewer bits, and which layers stayed in float."""
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    print_line(console, f"gate {verdict}: {tables.describe_rounding(precision, record)}")
    console.print(table(*tables.tabulate_losses(record)))
    if record.kept:
        console.print(table(*tables.tabulate_kept(record)))

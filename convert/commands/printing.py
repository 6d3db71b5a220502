"""What an export prints, and the parts of a manifest that several commands print."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adaptact.console import table
from adaptact.text import escape_line
from convert.manifest.manifest import Manifest, ParityRecord
from convert.manifest.records import RoundingRecord


def print_export(console: Console, manifest: Manifest, file: Path, report: Path | None) -> None:
    """The console shows what was written and what it is worth, a line each, and where the rest is shown."""
    for line in _summarise_export(manifest, file):
        print_line(console, line)
    more = f"more: adaptact inspect {file}" if report is None else f"report: {report}"
    console.print(Text(escape_line(more)), soft_wrap=True)  # a path is to be copied whole


def _summarise_export(manifest: Manifest, file: Path) -> Iterator[str]:
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    parity, rounding = manifest.parity, manifest.rounding
    stage = "" if rounding is None else " before it was rounded"
    yield f"{file}: {file.stat().st_size:,} bytes, parity{stage} passed"
    closest = max(parity.outputs, key=lambda output: output.file_error / (output.allowed or 1.0))
    others = "" if len(parity.outputs) == 1 else f", the closest of {len(parity.outputs)} outputs"
    yield f"{closest.name}: largest error {closest.file_error:.2g}, allowed {closest.allowed:.2g}{others}"
    yield _describe_strength(parity)
    if rounding is not None:
        loss = max(rounding.losses, key=lambda each: each.largest)
        yield (
            f"{manifest.precision}: {loss.output} loses {loss.largest:.2%} of its scale at most, allowed "
            f"{rounding.max_error:.2%}"
        )
    yield from (f"source: {note}" for note in manifest.source_notes)
    if manifest.fired:
        times = sum(record.times for record in manifest.fired)
        yield f"rewritten exactly: {times} places, by {len(manifest.fired)} rules"
    if manifest.tuning is not None:
        yield f"tuned: {tables.describe_tuning(manifest.tuning)}"


def _describe_strength(parity: ParityRecord) -> str:
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    coverage = parity.coverage
    if coverage is None or not coverage.reasons:
        return f"parity is {tables.describe_coverage(parity)}"
    more = f" (and {len(coverage.reasons) - 1} more reasons)" if len(coverage.reasons) > 1 else ""
    return f"parity is weak, because {coverage.reasons[0]}{more}"


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

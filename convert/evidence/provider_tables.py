"""The choice of a provider as a line and a table, for people."""

from collections.abc import Iterator

from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all, say_count
from adaptact.text import escape_line
from convert.evidence.tables import TextTable
from convert.manifest.providers import PlacementRecord, ProviderChoiceRecord

MOST_KINDS = 8


def describe_choice(record: ProviderChoiceRecord) -> str:
    """The provider that was chosen, and why, in a line."""
    return say(
        "{provider}, {threads}, {processor}: {verdict} ({seconds} s)",
        provider=record.provider,
        threads=say_count("{number} thread", "{number} threads", record.threads),
        processor=record.processor,
        verdict=retell(record.verdict),
        seconds=f"{record.spent:.3g}",
    )


def describe_placement(record: PlacementRecord) -> str:
    """How many operators of which kinds the provider leaves to the CPU provider, in a line."""
    kinds = sorted(record.elsewhere.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = [f"{count} {escape_line(kind)}" for kind, count in kinds[:MOST_KINDS]]
    left = len(kinds) - len(shown)
    more = [say_count("{number} kind more", "{number} kinds more", left)] if left else []
    counts = say("{left} of {all} operators", left=record.left, all=record.operators)
    return f"{counts} ({join_list([*shown, *more])})" if kinds else counts


def warn_of_placement(record: PlacementRecord | None) -> Iterator[str]:
    """A line where many operators are left to the CPU provider."""
    if record is not None and record.is_scattered:
        yield say(
            "warning: {placed} run on the CPU provider's kernels, and each change costs a copy",
            placed=describe_placement(record),
        )


def tabulate_candidates(record: ProviderChoiceRecord) -> TextTable:
    """Every provider that was tried, with its times and why it was not taken."""
    rows = [
        (
            candidate.provider,
            str(candidate.threads),
            join_list(
                say("batch {batch}: {time} µs", batch=batch, time=f"{microseconds:g}")
                for batch, microseconds in zip(record.batches, candidate.microseconds, strict=False)
            ),
            "" if candidate.ratio is None else f"{candidate.ratio:.3f}",
            str(candidate.rounds),
            retell(candidate.reason) or (say("taken") if candidate.ratio is not None else ""),
        )
        for candidate in record.candidates
    ]
    return TextTable(say_all("provider", "threads", "one run", "ratio", "rounds", "decision"), rows)

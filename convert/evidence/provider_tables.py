"""The choice of a provider as a line and a table, for people."""

from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all, say_count
from convert.evidence.tables import TextTable
from convert.manifest.providers import ProviderChoiceRecord


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

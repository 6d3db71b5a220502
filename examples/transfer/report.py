"""What the swap brought, and whether that is more than chance."""

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table
from scipy import stats

from examples.transfer.tune import TunedModel

CONFIDENCE = 0.95


def make_table(results: Mapping[str, Sequence[TunedModel]]) -> Table:
    """A row for each way to fine-tune, over all seeds."""
    table = Table("", "test digits right, mean", "worst seed", "epochs, mean", "rollbacks")
    for name, tuned in results.items():
        accuracies = [run.accuracy for run in tuned]
        table.add_row(
            name,
            f"{statistics.mean(accuracies):.2%}",
            f"{min(accuracies):.2%}",
            f"{statistics.mean(run.epochs for run in tuned):.0f}",
            str(sum(run.rollbacks for run in tuned)),
        )
    return table


def describe_verdict(plain: Sequence[TunedModel], swapped: Sequence[TunedModel]) -> str:
    """The mean gain of the swap over the seeds, with its confidence interval by Student's t on the pairs."""
    gains = [ours.accuracy - theirs.accuracy for theirs, ours in zip(plain, swapped, strict=True)]
    mean = 100 * statistics.mean(gains)
    if len(gains) < 2 or len(set(gains)) < 2:
        return f"The swap changed {mean:+.2f} points; too few different seeds to tell that from chance."
    test = stats.ttest_1samp(gains, 0.0)
    low, high = (100 * float(end) for end in test.confidence_interval(CONFIDENCE))
    significance = "more than chance" if low > 0 or high < 0 else "no more than chance"
    return (
        f"The swap changed {mean:+.2f} points ({CONFIDENCE:.0%} interval {low:+.2f} to {high:+.2f}, "
        f"{len(gains)} seeds): {significance}."
    )

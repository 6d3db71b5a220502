"""The pages of benchmarks/activation_cost.py: whether the budgets are met, and every cell."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich import box
from rich.table import Table

from benchmarks.activation_files import TUNING_SECONDS
from benchmarks.results import RESULTS, publish, show
from benchmarks.rivals import ONNXSLIM

TOOLS = {"ours": "adaptact", "tuned": "tuned", "torch": "torch", "slim": "onnxslim", "textbook": "textbook"}
MEAN_TO_RELU, WORST_TO_RELU, MEAN_TO_TORCH, WORST_TO_TORCH = 1.08, 1.30, 0.75, 1.02

NAME = "activation_cost"
TITLE = "What an exported activation costs"
NOTES = """\
The time of one prediction in ONNX Runtime on the CPU, as a multiple of the same network with ReLU:
`adaptact` as `adaptact-export` writes it, `tuned` with its choices timed on this machine, `torch` as
torch.onnx.export writes the very same module, `onnxslim` as onnxslim rewrites torch's file, `textbook` as
torch.onnx.export writes the activation copied from its paper. The files of a cell take turns, and each
ratio is the median over the rounds of the ratio within a round. A cell where adaptact's file is above
{relu:.2f} of ReLU or {torch:.2f} of torch's is measured again for three times as long, and the second
measurement stands.

All activations have shared parameters and one thread here (those that look at more than one place have
theirs per channel). Parameters per channel, two threads, and tuning (of shared parameters, for one thread,
{seconds:g} seconds at most) were measured for {named}, which stand for the families; the other combinations
were left out, since all of them would take hours.{missing}"""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One cell: ratios by the tool whose file it is."""

    network: str
    batch: int
    threads: int
    activation: str
    per_channel: bool
    plain_us: float
    """Of the network with ReLU, one prediction."""
    to_plain: Mapping[str, float]
    ours_to: Mapping[str, float]
    failed: Mapping[str, str]

    @property
    def group(self) -> str:
        """The cells that are one table."""
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        # What looks at the whole input has its parameters per channel wherever the others share theirs.
        return f"{self.network}, batch {self.batch}, {threads}"


@dataclass(frozen=True, slots=True)
class PublishedRows:
    """What a page shows: cells, why files are missing, and the activations that were measured later."""

    rows: Sequence[CostRow]
    left_out: Mapping[str, str]
    machine: str
    again: Mapping[str, str] = field(default_factory=dict)
    """By activation, the machine."""

    def renewed(self, later: "PublishedRows", families: Sequence[str]) -> "PublishedRows":
        """These rows, with the later ones of those families in their place."""
        rows = [row for row in self.rows if row.activation not in families]
        left_out = {key: why for key, why in self.left_out.items() if key.split("-")[1] not in families}
        again = {**self.again, **dict.fromkeys(families, later.machine)}
        return PublishedRows([*rows, *later.rows], {**left_out, **later.left_out}, self.machine, again)


def read_published() -> PublishedRows:
    """The rows that the page shows now."""
    published = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    rows = [CostRow(**row) for row in published["rows"]]
    return PublishedRows(rows, published["left_out"], published["machine"], published.get("again", {}))


def publish_rows(measured: PublishedRows, named: Sequence[str]) -> None:
    """Writes the tables and the numbers, and prints them."""
    rows = measured.rows
    verdicts = [asdict(verdict) for verdict in judge_budgets(rows)]
    numbers = {"verdicts": verdicts} | asdict(measured)
    publish(NAME, TITLE, make_tables(rows), numbers, make_notes(measured, named), measured.machine)


def show_rows(rows: Sequence[CostRow]) -> None:
    """Prints the tables."""
    show(TITLE, make_tables(rows))


def make_tables(rows: Sequence[CostRow]) -> list[Table]:
    """The budgets, each network's share in them, and every cell."""
    groups = _group(rows)
    return [
        budget_table(rows),
        _summary_table(groups),
        *(_group_table(group, own) for group, own in groups.items()),
    ]


def make_notes(measured: PublishedRows, named: Sequence[str]) -> str:
    """The notes: the content of the tables, and what was not measured."""
    missing = "" if ONNXSLIM else " onnxslim is not installed here, so its column is missing."
    for machine in dict.fromkeys(measured.again.values()):
        families = ", ".join(name for name, on in measured.again.items() if on == machine)
        missing += f"\n\nMeasured later than the rest, once their files had changed: {families}. {machine}"
    if measured.left_out:
        absent = "; ".join(f"{key}: {reason}" for key, reason in sorted(measured.left_out.items()))
        missing += f"\n\nNot measured: {absent}."
    return NOTES.format(
        relu=WORST_TO_RELU,
        torch=WORST_TO_TORCH,
        named=", ".join(named),
        seconds=TUNING_SECONDS,
        missing=missing,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One budget: the share that was measured, and where."""

    what: str
    budget: float
    measured: float
    where: str

    @property
    def met(self) -> bool:
        """Whether the number is within the budget as it is printed, to two digits."""
        return round(self.measured, 2) <= self.budget


def judge_budgets(rows: Sequence[CostRow]) -> list[Verdict]:
    """The budgets over all cells; those against tools whose file no cell has are left out."""
    budgeted: list[tuple[str, float, float, Callable[[CostRow], float | None]]] = [
        ("adaptact / ReLU", MEAN_TO_RELU, WORST_TO_RELU, lambda row: row.to_plain.get("ours")),
        ("tuned / ReLU", MEAN_TO_RELU, WORST_TO_RELU, lambda row: row.to_plain.get("tuned")),
        ("adaptact / torch", MEAN_TO_TORCH, WORST_TO_TORCH, lambda row: row.ours_to.get("torch")),
        ("adaptact / textbook", MEAN_TO_TORCH, WORST_TO_TORCH, lambda row: row.ours_to.get("textbook")),
        ("adaptact / onnxslim", MEAN_TO_TORCH, WORST_TO_TORCH, lambda row: row.ours_to.get("slim")),
    ]
    verdicts: list[Verdict] = []
    for pair, mean, worst, of in budgeted:
        measured = [(number, row) for row in rows if (number := of(row)) is not None]
        if measured:
            largest, row = max(measured, key=lambda pair: pair[0])
            total = statistics.geometric_mean(number for number, _ in measured)
            where = f"{row.activation}{' per channel' if row.per_channel else ''}, {row.group}"
            verdicts.append(Verdict(f"{pair}, geometric mean", mean, total, f"{len(measured)} cells"))
            verdicts.append(Verdict(f"{pair}, worst", worst, largest, where))
    return verdicts


def budget_table(rows: Sequence[CostRow]) -> Table:
    """Each budget of the design with what was measured, and whether it is met."""
    table = Table("what", "budget", "measured", "", "where", box=box.MARKDOWN)
    for verdict in judge_budgets(rows):
        cells = (
            f"≤ {verdict.budget:.2f}",
            f"{verdict.measured:.2f}",
            "met" if verdict.met else "**not met**",
        )
        table.add_row(verdict.what, *cells, verdict.where)
    return table


def _group(rows: Sequence[CostRow]) -> dict[str, list[CostRow]]:
    groups: dict[str, list[CostRow]] = {}
    for row in sorted(rows, key=lambda row: row.threads):
        groups.setdefault(row.group, []).append(row)
    return groups


def _summary_table(groups: Mapping[str, Sequence[CostRow]]) -> Table:
    table = Table("network", title="By network", box=box.MARKDOWN)
    for column in ("cells", "adaptact / ReLU", "worst", "adaptact / torch", "worst", "adaptact / textbook"):
        table.add_column(column, justify="right")
    for group, rows in groups.items():
        relu = [row.to_plain["ours"] for row in rows]
        torchs, textbooks = (
            [row.ours_to[tool] for row in rows if tool in row.ours_to] for tool in ("torch", "textbook")
        )
        cells = (
            _format_mean(relu),
            _format_worst(relu),
            _format_mean(torchs),
            _format_worst(torchs),
            _format_mean(textbooks),
        )
        table.add_row(group, str(len(rows)), *cells)
    return table


def _format_mean(ratios: Sequence[float]) -> str:
    return f"{statistics.geometric_mean(ratios):.2f}" if ratios else ""


def _format_worst(ratios: Sequence[float]) -> str:
    return f"{max(ratios):.2f}" if ratios else ""


def _group_table(group: str, rows: Sequence[CostRow]) -> Table:
    tools = [name for name in TOOLS if any(name in row.to_plain for row in rows)]
    plain = statistics.median(row.plain_us for row in rows)
    title = f"{group} (ReLU: {plain:.0f} µs)"
    table = Table("activation", "parameters", title=title, box=box.MARKDOWN)
    for name in tools:
        table.add_column(f"{TOOLS[name]} / ReLU", justify="right")
    table.add_column("adaptact / torch", justify="right")
    for row in sorted(rows, key=lambda row: (row.per_channel, row.activation.lower())):
        shown = [_format_number(row.to_plain.get(name), row.failed.get(name)) for name in tools]
        parameters = "per channel" if row.per_channel else "shared"
        table.add_row(row.activation, parameters, *shown, _format_number(row.ours_to.get("torch")))
    columns = [[row.to_plain[tool] for row in rows if tool in row.to_plain] for tool in tools]
    columns.append([row.ours_to["torch"] for row in rows if "torch" in row.ours_to])
    table.add_row("geometric mean", "", *map(_format_mean, columns))
    table.add_row("worst", "", *map(_format_worst, columns))
    return table


def _format_number(ratio: float | None, failed: str | None = None) -> str:
    if ratio is not None:
        return f"{ratio:.2f}"
    return "" if failed is None else f"failed: {failed[:40]}"

"""Tables of the measurements: medians over the rounds, ratios, and budgets."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from benchmarks import results
from benchmarks.results import publish

Record = Mapping[str, Any]
FORMS = ("none", "json", "binary", "grpc")
LIMIT = "in-process ONNX Runtime"
OURS = "adaptact"
TITLE = "Servers of one machine, with the load on the same machine"
# Triton's C++ server is the fastest of the others; the rest are Python, as we are.
PLAIN, BARE, MLSERVER, TRITON = "plain FastAPI", "bare ASGI function", "MLServer", "Triton"

LEAST_OF_TRITON = {"json": 1.0, "binary": 1.0, "grpc": 0.8}
# As its manual says: one instance of a model, unless the model's configuration asks for more.
TRITON_DEFAULT_WORKERS = 1


@dataclass(frozen=True, slots=True)
class ServingRecords:
    """The records of all rounds; each value is the median over the rounds."""

    records: list[Record]

    def median(self, field: str, **of: Any) -> float | None:
        """The field's median over the records that are of this; None where there is none."""
        values = [
            record[field]
            for record in self.records
            if field in record and all(record[key] == value for key, value in of.items())
        ]
        return statistics.median(values) if values else None

    def rate(self, **of: Any) -> float | None:
        """Requests a second."""
        return self.median("requests_per_second", **of)

    def list_values(self, key: str) -> list[Any]:
        """The values that the records have of this key, in the order met."""
        return list(dict.fromkeys(record[key] for record in self.records))


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget: what is compared, the measured ratio, and the least that meets it."""

    what: str
    measured: float | None
    least: float


def show(numbers: Mapping[str, Any], keep: bool) -> None:
    """The tables on the terminal; with `keep` in docs/results/serving too."""
    cells = ServingRecords(numbers["cells"])
    tables = [_speed_table(cells), _cost_table(cells), _budget_table(cells, numbers["default_workers"])]
    rounds, seconds = numbers["rounds"], numbers["seconds"]
    notes = (
        f"Requests a second: medians of {rounds} rounds, in each of which every server was started anew and "
        f"got {seconds} s of load a cell. By default adaptact has {numbers['default_workers']} workers here, "
        f"Triton {TRITON_DEFAULT_WORKERS}; the best of each is what serves it best in that row."
    )
    if keep:
        publish("serving", TITLE, tables, numbers, notes)
    else:
        results.show(TITLE, tables, notes)


def _speed_table(cells: ServingRecords) -> Table:
    clients = sorted({record["clients"] for record in cells.records if record["form"] != "none"})
    heads = [f"c = {count}" for count in clients]
    table = _make_table("model", "form", "workers", "server", *heads, "p99/p50 at the middle c", "failed")
    for row in _sorted_rows(cells):
        own = [count for count in clients if cells.rate(**row, clients=count) is not None]
        rates = [_format_number(cells.rate(**row, clients=count)) for count in clients]
        if not own:  # in the process itself there are no clients, only threads
            rates = [_format_number(cells.rate(**row)), *[""] * (len(clients) - 1)]
        middle = row | {"clients": clients[len(clients) // 2]}
        p50, p99 = cells.median("p50", **middle), cells.median("p99", **middle)
        spread = f"{p99 / p50:.1f}" if p50 and p99 else ""
        failed = sum(record["errors"] for record in cells.records if _matches(record, row))
        form = "" if row["form"] == "none" else row["form"]
        table.add_row(row["model"], form, str(row["workers"]), row["server"], *rates, spread, str(failed))
    return table


def _cost_table(cells: ServingRecords) -> Table:
    table = _make_table("server", "workers", "memory (PSS), MB", "cold start to the first answer, s")
    for server in cells.list_values("server"):
        for workers in cells.list_values("workers"):
            memory = cells.median("memory_mb", server=server, workers=workers, model="mlp")
            start = cells.median("cold_start_seconds", server=server, workers=workers, model="mlp")
            if memory is not None and start is not None:
                table.add_row(server, str(workers), f"{memory:.0f}", f"{start:.2f}")
    return table


def _budget_table(cells: ServingRecords, default_workers: int) -> Table:
    table = _make_table("budget", "least", "measured", "")
    for budget in _ratio_budgets(cells, default_workers):
        if budget.measured is not None:
            verdict = "met" if budget.measured >= budget.least else "not met"
            table.add_row(budget.what, f"{budget.least:.2f}", f"{budget.measured:.2f}", verdict)
    return table


def _ratio_budgets(cells: ServingRecords, default_workers: int) -> Iterator[Budget]:
    mlp = {"model": "mlp", "workers": max(cells.list_values("workers")), "clients": 32}
    ours = {form: cells.rate(server=OURS, form=form, **mlp) for form in FORMS}
    plain = cells.rate(server=PLAIN, form="json", **mlp)
    yield Budget("MLP, c = 32, JSON: plain FastAPI's JSON", _ratio(ours["json"], plain), 1.7)
    yield Budget("MLP, c = 32, binary: plain FastAPI's JSON", _ratio(ours["binary"], plain), 2.3)
    rates = [
        _find_best(cells, server=MLSERVER, model="mlp", clients=count)
        for count in cells.list_values("clients")
    ]
    best = max((rate for rate in rates if rate is not None), default=None)
    yield Budget("MLP, c = 32, JSON: MLServer's best", _ratio(ours["json"], best), 5.0)
    yield Budget("MLP, c = 32, binary: MLServer's best", _ratio(ours["binary"], best), 7.0)
    yield from _bare_budgets(cells)
    yield from _triton_budgets(cells, default_workers)
    yield from _spread_budgets(cells)
    yield from _limit_budgets(cells)


def _bare_budgets(cells: ServingRecords) -> Iterator[Budget]:
    """With as many workers each as there are cores."""
    workers = max(cells.list_values("workers"))
    for form in ("json", "binary"):
        for clients in (1, 8, 32):
            of = {"model": "mlp", "form": form, "clients": clients, "workers": workers}
            ours, theirs = (cells.rate(server=server, **of) for server in (OURS, BARE))
            what = f"MLP, c = {clients}, {form}: the bare function, {workers} workers each"
            yield Budget(what, _ratio(ours, theirs), 0.8)


def _triton_budgets(cells: ServingRecords, default_workers: int) -> Iterator[Budget]:
    """Both with their default settings, then each with the number of workers that serves it best."""
    for model in cells.list_values("model"):
        for form, least in LEAST_OF_TRITON.items():
            for clients in (1, 8, 32):
                of = {"model": model, "form": form, "clients": clients}
                cell = f"{model.upper()}, c = {clients}, {form}: Triton"
                by_default = _ratio(
                    cells.rate(server=OURS, workers=default_workers, **of),
                    cells.rate(server=TRITON, workers=TRITON_DEFAULT_WORKERS, **of),
                )
                yield Budget(f"{cell}, default settings", by_default, least)
                ours, theirs = (_find_best(cells, server=server, **of) for server in (OURS, TRITON))
                yield Budget(f"{cell}, best of each", _ratio(ours, theirs), least)


def _spread_budgets(cells: ServingRecords) -> Iterator[Budget]:
    """With the number of workers that keeps gRPC's times closest together."""
    for model in cells.list_values("model"):
        for clients in (8, 32):
            of = {"server": OURS, "model": model, "form": "grpc", "clients": clients}
            ratios = (
                _ratio(cells.median("p50", workers=count, **of), cells.median("p99", workers=count, **of))
                for count in cells.list_values("workers")
            )
            best = max((ratio for ratio in ratios if ratio is not None), default=None)
            yield Budget(f"{model.upper()}, c = {clients}, grpc: its p50, of its p99", best, 0.5)


def _limit_budgets(cells: ServingRecords) -> Iterator[Budget]:
    limit = cells.rate(server=LIMIT, model="cnn", workers=2)
    for form, least in (("json", 0.9), ("binary", 0.95)):
        best = _find_best(cells, server=OURS, model="cnn", form=form, clients=8)
        yield Budget(f"CNN, c = 8, {form}: in-process ONNX Runtime, 2 threads", _ratio(best, limit), least)


def _find_best(cells: ServingRecords, **of: Any) -> float | None:
    """Requests a second with the number of workers that serves best."""
    rates = (cells.rate(workers=count, **of) for count in cells.list_values("workers"))
    return max((rate for rate in rates if rate is not None), default=None)


def _sorted_rows(cells: ServingRecords) -> Iterator[dict[str, Any]]:
    """The keys of each row of the table; rows to compare stand together."""
    keys = ("model", "form", "workers", "server")
    rows = {tuple(record[key] for key in keys) for record in cells.records}
    orders = [cells.list_values("model"), FORMS, cells.list_values("workers"), cells.list_values("server")]

    def place(row: tuple[Any, ...]) -> list[int]:
        return [order.index(part) for order, part in zip(orders, row, strict=True)]

    for row in sorted(rows, key=place):
        yield dict(zip(keys, row, strict=True))


def _matches(record: Record, of: Mapping[str, Any]) -> bool:
    return all(record[key] == value for key, value in of.items())


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours and theirs else None


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}".replace(",", " ")


def _make_table(*columns: str) -> Table:
    table = Table(box=box.MARKDOWN)
    for column in columns:
        left = column in ("model", "form", "server", "budget")
        table.add_column(column, justify="left" if left else "right")
    return table

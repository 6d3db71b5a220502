"""What each exact form of an activation costs by each provider: what the tables of defaults are chosen by.

Each network has one activation in place of its ReLU. For each kind of place in its graph every form is timed
against the network with ReLU, which is the same file for both providers, on one and on two threads. One
thread is timed by its own clock, of two the fastest turns count. Prints the tables and writes
docs/results/provider_forms.{md,json}. Measurements are kept under build/benchmarks, so an interrupted run
continues.
"""

import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import onnx_ir as ir
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import nn

from adaptact.errors import AdaptactError, ProviderError
from adaptact.providers.catalogue import find_provider
from adaptive_act import save
from benchmarks.activation_files import INPUT, Subject, make_adaptive
from benchmarks.cells import Cell, CellStore
from benchmarks.networks import NETWORKS
from benchmarks.results import describe_machine, publish, show
from convert.artefact.file import serialise
from convert.model_io.inputs import InputSpec
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import KINDS, FormPlan, PlaceKind, default_forms
from convert.rules import RULES
from convert.sources.export import build_graph
from convert.sources.fold import fold
from convert.sources.load import load_request
from convert.sources.opset import DEFAULT_OPSET
from convert.sources.source import SourceRequest
from convert.tuning.timing import Target, Turn

FAMILIES = (
    *("PELU", "PSELU", "ABU", "PReLU", "AdaptiveSoftplus", "ScaledMish", "BetaMish", "ScaledGELU"),
    *("AdaptiveHardswish", "PACT", "NEAAF", "StarReLU", "Snake", "ShiLU", "TanhLU"),
)
"""At least one with a place of each kind."""
PER_CHANNEL = ("PReLU", "PELU", "NEAAF")
"""What has other places with a parameter for each channel."""
PROVIDERS = ("cpu", "openvino")
TRIED = ("CNN", "transformer")
OWN = ("provider_forms", "networks", "activation_files", "cells")
PACKAGES = ("torch", "onnxruntime", "onnxruntime-ep-openvino")
ROUNDS, QUICK_ROUNDS = 7, 3


@dataclass(frozen=True, slots=True)
class FormCost:
    """One form at all places of its kind: the time over that of the same network with ReLU."""

    network: str
    activation: str
    kind: str
    form: str
    provider: str
    threads: int
    ratio: float


def main(
    families: Annotated[str | None, typer.Option(help="Activations, separated by commas.")] = None,
    networks: Annotated[str, typer.Option(help="Networks, separated by commas.")] = ",".join(TRIED),
    threads: Annotated[str, typer.Option(help="Threads of a run, separated by commas.")] = "1,2",
    quick: Annotated[bool, typer.Option(help="Fewer rounds; nothing is written.")] = False,
) -> None:
    """Measure the forms of every kind by every provider, and say which is the cheapest."""
    for provider in PROVIDERS:
        try:
            find_provider(provider).require()
        except ProviderError as error:
            raise typer.BadParameter(f"{error}; {error.hint}") from error
    chosen = families.split(",") if families else FAMILIES
    counts = [int(count) for count in threads.split(",")]
    costs = list(_measure_all(networks.split(","), chosen, counts, QUICK_ROUNDS if quick else ROUNDS))
    tables = [_tabulate(costs, count) for count in counts]
    if quick or families or networks != ",".join(TRIED) or counts != [1, 2]:
        show("Forms by provider", tables, "")
        return
    numbers = {"costs": [asdict(cost) for cost in costs]}
    publish("provider_forms", "Forms by provider", tables, numbers, NOTES, describe_machine(PACKAGES))


NOTES = (
    "The time of a network with the form at all its places over that with ReLU by the same provider, as the "
    "geometric mean of the networks and activations that have such a place; * marks the form that the "
    "provider's table takes. One thread is timed by its processor time, and the median of the rounds' ratios "
    "counts; of two threads the fastest turn of each by the clock."
)


def _measure_all(
    networks: Sequence[str], families: Sequence[str], counts: Sequence[int], rounds: int
) -> Iterator[FormCost]:
    """The costs of all forms, new or from an earlier run."""
    store = CellStore("provider_forms", OWN, rounds=rounds)
    for network in networks:
        plain, _ = read_graph(NETWORKS[network].build(), network)
        for family in track(families, description=network):
            for per_channel in (False, True) if family in PER_CHANNEL else (False,):
                subject = Subject(network, family, per_channel=per_channel, tuned=False)
                for count in counts:
                    key = f"{network} {family} {per_channel} {count}"
                    cell = store.get_or_measure(key, partial(_measure_cell, subject, plain, count, rounds))
                    yield from (FormCost(**cost) for cost in cell["costs"])


def _measure_cell(subject: Subject, plain: ir.Model, threads: int, rounds: int) -> Cell:
    return {"costs": [asdict(cost) for cost in _measure(subject, plain, threads, rounds)]}


def read_graph(model: nn.Module, network: str) -> tuple[ir.Model, Sequence[InputSpec]]:
    """The graph as torch writes it, before any rule, and the model's inputs."""
    described = NETWORKS[network]
    spec = {"name": INPUT, "dtype": "float32", "shape": [None, *described.shape]}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "model.pt"
        save(model.eval(), checkpoint, factory=described.factory, inputs=[spec])
        loaded = load_request(SourceRequest(checkpoint))
    return build_graph(loaded, fold(loaded.model), DEFAULT_OPSET).model, loaded.inputs


def _measure(subject: Subject, plain: ir.Model, threads: int, rounds: int) -> Iterator[FormCost]:
    """The costs of every form that the subject's graph can have."""
    try:
        exported, inputs = read_graph(make_adaptive(subject), subject.network)
    except (AdaptactError, ValueError):
        return  # the activation cannot stand in this network
    for provider in PROVIDERS:
        machine = Target(inputs, provider, threads, (1,))
        base = machine.load(optimise(plain, RULES).model)
        graphs = _list_forms(exported, provider)
        turns = {key: machine.load(graph) for key, graph in graphs.items()}
        compare = compare_turns if threads == 1 else compare_fastest
        for (kind, form), ratio in compare(base, turns, rounds).items():
            yield FormCost(subject.network, subject.family, kind, form, provider, threads, ratio)


def _list_forms(exported: ir.Model, provider: str) -> dict[tuple[str, str], ir.Model]:
    """The graph with each form of each kind that changes it, by kind and form."""
    defaults = default_forms(provider)
    found: dict[tuple[str, str], ir.Model] = {}
    for kind in KINDS:
        graphs = {form: _write(exported, kind, form, defaults) for form in kind.forms}
        if len({serialise(graph) for graph in graphs.values()}) > 1:
            found |= {(kind.name, form): graph for form, graph in graphs.items()}
    return found


def _write(exported: ir.Model, kind: PlaceKind, form: str, defaults: dict[str, str]) -> ir.Model:
    return optimise(exported, RULES, plan=FormPlan({**defaults, kind.name: form})).model


def compare_turns(
    base: Turn, turns: dict[tuple[str, str], Turn], rounds: int
) -> dict[tuple[str, str], float]:
    """The median over the rounds of each one's time over the base's, back and forth in turns."""
    ratios: dict[tuple[str, str], list[float]] = {key: [] for key in turns}
    for number in range(rounds):
        for key in turns if number % 2 == 0 else reversed(list(turns)):
            (before,) = base()
            (taken,) = turns[key]()
            ratios[key].append(taken / before)
    return {key: statistics.median(each) for key, each in ratios.items()}


def compare_fastest(
    base: Turn, turns: dict[tuple[str, str], Turn], rounds: int
) -> dict[tuple[str, str], float]:
    """Each one's fastest turn over the base's: what others take of the cores only adds time."""
    fastest, all_of_base = dict.fromkeys(turns, math.inf), math.inf
    for number in range(rounds):
        (before,) = base()
        all_of_base = min(all_of_base, before)
        for key in turns if number % 2 == 0 else reversed(list(turns)):
            (taken,) = turns[key]()
            fastest[key] = min(fastest[key], taken)
    return {key: taken / all_of_base for key, taken in fastest.items()}


def _tabulate(costs: Sequence[FormCost], threads: int) -> Table:
    title = f"{threads} thread{'s' * (threads > 1)}"
    table = Table("place", "form", title=title, box=box.MARKDOWN)
    for column in (*PROVIDERS, "measured in"):
        table.add_column(column, justify="right")
    for kind in KINDS:
        for form in kind.forms:
            cells, found = [], 0
            for provider in PROVIDERS:
                asked = (kind.name, form, provider, threads)
                ratios = [c.ratio for c in costs if (c.kind, c.form, c.provider, c.threads) == asked]
                found = len(ratios)
                mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else math.nan
                cells.append(f"{mean:.3f}{' *' if kind.defaults[provider] == form else ''}")
            if found:
                table.add_row(kind.name, form, *cells, str(found))
    return table


if __name__ == "__main__":
    typer.run(main)

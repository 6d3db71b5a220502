"""Train with ReLU, swap in an activation that learns, train on, export, verify, serve, predict, compare."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from adaptive_act import ACTIVATIONS, named_activations, swap
from adaptive_act.explain import draw_curves
from convert.latency import measure_latency
from examples.digits.data import Digits, read_digits, save_digits
from examples.digits.exported import INPUT, ExportedModel, export
from examples.digits.model import build
from examples.digits.report import Variant, describe_verdict, list_failures, make_table, write_markdown
from examples.digits.served import ServerAnswers, predict, run_server
from examples.digits.train import TrainedModel, train
from examples.digits.train import predict as logits_of

ROUNDS = 20  # of latency

Tick = Callable[[int], None]


def main(
    activation: Annotated[str, typer.Option(help="Learned activation that takes ReLU's place.")] = "PReLU",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs with ReLU, before the swap.")] = 12,
    fine_tune: Annotated[int, typer.Option(min=1, help="Epochs after it, for both models.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and image shifts.")] = 0,
    output: Annotated[
        Path, typer.Option(help="Folder for the models, the picture and the make_table.")
    ] = Path("build/digits"),
) -> None:
    """Carry a small network from training to predictions over HTTP, and show what it cost and brought."""
    torch.set_num_threads(1)  # so small a network trains faster on one core
    console = Console()
    train_data, test_data = read_digits()
    labels = test_data.labels.numpy()
    names = ("ReLU", activation)
    columns = (TextColumn("{task.description:24}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        step = _make_steps(progress)
        torch.manual_seed(seed)
        plain = train(build(), train_data, epochs, seed, step("train with ReLU", epochs)).model
        swapped = swap(plain, {nn.ReLU: ACTIVATIONS[activation]}, example=train_data.images)
        start = copy.deepcopy(swapped.model)
        trained = {
            name: train(model, train_data, fine_tune, seed + 1, step(f"train on with {name}", fine_tune))
            for name, model in zip(names, (plain, swapped.model), strict=True)
        }
        exported = _export(trained, output, step("export and verify", len(names)))
        answers = _ask_server(output / "models", names, test_data, step("predict over HTTP", 2 * len(labels)))
        times = _measure_latencies(exported, test_data, step("measure latency", ROUNDS))
    variants = [
        Variant(
            name=name,
            trained=trained[name],
            expected=logits_of(trained[name].model, test_data.images).numpy(),
            exported=exported[name],
            answers=answers[name],
            latency=times[name],
            torch_latency=times[f"{name} by torch"],
        )
        for name in names
    ]
    draw_curves(named_activations(swapped.model), named_activations(start), output / "curves.png")
    save_digits(test_data, output / "test.npz", INPUT)
    table = make_table(variants, labels)
    write_markdown(table, output / "table.md")
    console.print(table)
    console.print(describe_verdict(variants, labels))
    console.print(f"Learned curves: {output / 'curves.png'}. Models, ready to serve: {output / 'models'}")
    checkpoint = output / f"{activation.lower()}.pt"
    console.print(f"What each layer decides: adaptact inspect {checkpoint} --data {output / 'test.npz'}")
    wrong = list_failures(variants, swapped.report.largest_change)
    for line in wrong:
        console.print(f"failed: {line}", style="bold red")
    raise typer.Exit(1 if wrong else 0)


def _make_steps(progress: Progress) -> Callable[[str, int], Tick]:
    """Adds a bar with so many ticks, and gives the function that moves it on."""

    def step(name: str, ticks: int) -> Tick:
        task = progress.add_task(name, total=ticks)
        return lambda count: progress.advance(task, count)

    return step


def _export(trained: dict[str, TrainedModel], output: Path, tick: Tick) -> dict[str, ExportedModel]:
    exported = {}
    for name, model in trained.items():
        exported[name] = export(model.model, name.lower(), output)
        tick(1)
    return exported


def _ask_server(models: Path, names: tuple[str, ...], data: Digits, tick: Tick) -> dict[str, ServerAnswers]:
    with run_server(models) as url:
        return {name: predict(url, name.lower(), data.images.numpy(), tick) for name in names}


def _measure_latencies(exported: dict[str, ExportedModel], data: Digits, tick: Tick) -> dict[str, float]:
    files = {name: files.file for name, files in exported.items()}
    files |= {f"{name} by torch": files.torch_file for name, files in exported.items()}
    return measure_latency(files, {INPUT: data.images[:1].numpy()}, ROUNDS, tick)


if __name__ == "__main__":
    typer.run(main)

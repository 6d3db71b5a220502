"""Pretrain on the digits 0 to 4, fine-tune on few of 5 to 9, with the swap and without, and compare."""

import copy
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from torch import nn

from adaptive_act import ACTIVATIONS, swap
from examples.digits.model import build
from examples.digits.train import train
from examples.transfer.data import KNOWN, NEW, make_tasks
from examples.transfer.report import describe_verdict, make_table
from examples.transfer.tune import TunedModel, fine_tune


def main(
    activation: Annotated[str, typer.Option(help="Learned activation that takes ReLU's place.")] = "PReLU",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs on the known digits, with ReLU.")] = 6,
    tune: Annotated[int, typer.Option(min=1, help="Most epochs on the new digits.")] = 100,
    per_class: Annotated[int, typer.Option(min=1, max=50, help="Digits of each new class to tune on.")] = 10,
    seeds: Annotated[
        int, typer.Option(min=1, help="Repetitions, each with data and weights of its own.")
    ] = 10,
) -> None:
    """Show what learned activations bring when a model is fine-tuned on few examples."""
    torch.set_num_threads(1)  # so small a network trains faster on one core
    results: dict[str, list[TunedModel]] = {"ReLU": [], activation: []}
    console = Console()
    for seed in track(range(seeds), "fine-tune", console=console):
        data = make_tasks(per_class, seed)
        torch.manual_seed(seed)
        pretrained = train(build(classes=len(KNOWN)), data.known, epochs, seed, lambda _: None).model
        plain = replace_head(pretrained)
        swapped = swap(plain, {nn.ReLU: ACTIVATIONS[activation]}, example=data.tune.images).model
        for name, model in zip(results, (plain, swapped), strict=True):
            results[name].append(fine_tune(model, data, tune, seed))
    console.print(make_table(results))
    console.print(describe_verdict(*results.values()))


def replace_head(model: nn.Module) -> nn.Module:
    """A copy that tells the new classes apart, with a last layer that has yet to learn."""
    tuned = copy.deepcopy(model)
    old = tuned.get_submodule("classify")
    assert isinstance(old, nn.Linear)
    tuned.set_submodule("classify", nn.Linear(old.in_features, len(NEW)))
    return tuned


if __name__ == "__main__":
    typer.run(main)

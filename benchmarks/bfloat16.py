"""What bfloat16 by OpenVINO takes and loses, against the same file in float32 by ONNX Runtime's own kernels.

Random weights; one thread, timed by its own clock, in turns. Prints a table.
"""

import numpy as np
import torch
import typer
from rich.table import Table

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import find_provider
from adaptact.providers.provider import Precision
from benchmarks.activation_files import INPUT
from benchmarks.networks import NETWORKS
from benchmarks.provider_forms import compare_turns, read_graph
from benchmarks.results import show
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.rewriting.optimise import optimise
from convert.rules import RULES
from convert.tuning.timing import Target

ROUNDS = 9
MANNERS: tuple[tuple[str, Precision], ...] = (("openvino", "fp32"), ("openvino", "bf16"))


def main() -> None:
    """Measure each network at each of its batches."""
    try:
        find_provider("openvino").require()
        find_provider("openvino").options(1, "bf16")
    except ProviderError as error:
        raise typer.BadParameter(str(error)) from error
    table = Table(
        "network", "batch", "OpenVINO in float32", "OpenVINO in bfloat16", "error, root mean square"
    )
    for name, network in NETWORKS.items():
        torch.manual_seed(0)
        exported, inputs = read_graph(network.build(), name)
        graph = optimise(exported, RULES).model
        content = serialise(graph)
        for batch in network.batches:
            base = Target(inputs, "cpu", 1, (batch,)).load(graph)
            turns = {
                (provider, str(precision)): Target(inputs, provider, 1, (batch,), precision).load(graph)
                for provider, precision in MANNERS
            }
            ratios = compare_turns(base, turns, ROUNDS)
            x = network.example(batch).numpy()
            exact, coarse = _run(content, "cpu", "fp32", x), _run(content, "openvino", "bf16", x)
            lost = np.sqrt(np.mean((coarse - exact) ** 2) / np.mean(exact**2))
            cells = [f"{ratios[provider, precision]:.2f}" for provider, precision in MANNERS]
            table.add_row(name, str(batch), *cells, f"{lost:.0e}")
    show("bfloat16 by OpenVINO, over float32 by ONNX Runtime", [table], "")


def _run(content: bytes, provider: str, precision: Precision, x: Array) -> Array:
    (answer,) = Session(content, [INPUT], provider, threads=1, precision=precision).run([x]).values()
    return answer.astype(np.float64)


if __name__ == "__main__":
    typer.run(main)

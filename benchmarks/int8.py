"""Static int8 beside NNCF's: time and error of both, by ONNX Runtime's own kernels and by OpenVINO's.

Five networks, random weights but for the first: `python -m benchmarks.int8 --peer PYTHON`, an interpreter
with nncf, onnx, onnxruntime and openvino, which times all files in turns in one process, one thread. Prints a
table and writes docs/results/int8.{md,json}, or int8_amx.{md,json} on a processor with AMX.
"""

import json
import subprocess  # starts another interpreter
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich import box
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from adaptive_act import ACTIVATIONS, PReLU, swap
from benchmarks.models.iresnet import FACE, iresnet18
from benchmarks.models.resnet import resnet18
from benchmarks.real_subjects import settle_statistics
from benchmarks.results import has_amx, publish
from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.static_ways import make_static_schemes, prefers_symmetric
from convert.rewriting.optimise import optimise
from convert.rewriting.plan import FormPlan, default_forms
from convert.sources.export import export
from convert.sources.fold import fold
from examples.digits.data import read_digits
from examples.digits.model import build
from examples.digits.train import train
from tests.adaptive_act.swapping.real_models.models import timm_model

PROVIDERS = ("cpu", "openvino")
BATCH = 16
NOTES = (
    "Time of one sample over float32 by ONNX Runtime, one thread, by the processor's time, medians of turns. "
    "Errors: root mean square and largest difference to float64, as shares of the outputs' scale, on other "
    "samples than the calibration's. Weights are random but for the CNN, trained on digits. No layer is kept "
    "in float. Each runtime has the float32 graph that is optimised for it, rounded by us or by NNCF, by its "
    "preset MIXED and, as `nncf symmetric`, PERFORMANCE. With AMX ours for OpenVINO have symmetric "
    "ranges, as the latter have, but for `ours asymmetric`, which is tried where the first loses too much. "
    "OpenVINO is its own runtime: its plug-in for ONNX Runtime runs on processors of Intel only."
)

Subject = tuple[nn.Module, Tensor, Tensor]
"""A network, its calibration samples and its test samples."""


def main(
    peer: Annotated[Path, typer.Option(help="Interpreter with nncf, onnx, onnxruntime and openvino.")],
    network: Annotated[list[str] | None, typer.Option(help="One of them; all if not given.")] = None,
) -> None:
    """Round each network, have the peer round it too, measure and publish."""
    torch.set_num_threads(1)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in network or NETWORKS:
            seconds[name] = _write_files(Path(folder), name, *NETWORKS[name]())
        script = Path(__file__).with_name("int8_rivals.py")
        done = subprocess.run(  # the interpreter that the caller names
            [peer, script, folder], stdout=subprocess.PIPE, check=True, env={"OMP_NUM_THREADS": "1"}
        )
    results = json.loads(done.stdout.splitlines()[-1])
    name, title = ("int8_amx", "int8 beside NNCF, with AMX") if has_amx() else ("int8", "int8 beside NNCF")
    publish(name, title, _make_table(results), {"seconds": seconds, "rows": results}, NOTES)


def make_images(count: int, size: int, seed: int) -> Tensor:
    """Noise of several scales, [count, 3, size, size], of which ranges resemble those of pictures."""
    numbers = torch.Generator().manual_seed(seed)
    layers = [
        functional.interpolate(
            torch.randn(count, 3, side, side, generator=numbers), (size, size), mode="bilinear"
        )
        for side in (4, 8, 16, 32, size)
    ]
    return torch.stack(layers).sum(0) / 2


def _train_digits() -> Subject:
    training, test = read_digits()
    torch.manual_seed(0)
    example = training.images[:2]
    model = swap(build(width=64), {nn.ReLU: ACTIVATIONS["PELU"]}, preserve=False, example=example).model
    trained = train(model, training, 4, 0, lambda _: None).model
    return trained.eval(), training.images[:512], test.images


def _make_subject(make: Callable[[], nn.Module], size: int) -> Subject:
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    settle_statistics(model, (make_images(8, size, 7),))
    return model.eval().requires_grad_(False), make_images(32, size, 1), make_images(16, size, 2)


def _make_resnet() -> nn.Module:
    return swap(resnet18(), {nn.ReLU: PReLU}, per_channel=True, example=make_images(2, 224, 0)).model


NETWORKS: Mapping[str, Callable[[], Subject]] = {
    "PELU CNN": _train_digits,
    "IResNet-18": lambda: _make_subject(iresnet18, FACE),
    "ResNet-18, PReLU": lambda: _make_subject(_make_resnet, 224),
    "MobileNetV2": lambda: _make_subject(lambda: timm_model("mobilenetv2_100"), 224),
    "ViT-tiny": lambda: _make_subject(lambda: timm_model("vit_tiny_patch16_224"), 224),
}


def _write_files(folder: Path, name: str, model: nn.Module, calibration: Tensor, test: Tensor) -> float:
    """The seconds that rounding took for both; the files and the data are in the folder then."""
    spec = parse_input(f"x:float32[N,{','.join(map(str, test.shape[1:]))}]")
    exported = export(fold(model), [spec], ["y"]).model
    numbers = calibration.numpy()
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    sets = [SampleSet("calibration", (batch,)) for batch in batches]
    seconds = 0.0
    for provider in PROVIDERS:
        graph = optimise(exported, plan=FormPlan(default_forms(provider))).model
        start = time.process_time()
        first, second, *_ = make_static_schemes(graph, {}, sets, provider)
        rounded = first.round(())
        seconds += time.process_time() - start
        (folder / f"{name}.float32.{provider}.onnx").write_bytes(serialise(graph))
        (folder / f"{name}.ours.{provider}.onnx").write_bytes(serialise(rounded))
        if prefers_symmetric(provider):
            other = folder / f"{name}.ours asymmetric.{provider}.onnx"
            other.write_bytes(serialise(second.round(())))
    given = SampleSet("given", (test.numpy(),), typical=True, given=True)
    reference = Original(model, ["y"]).answer_once(given)[0]["y"]
    np.savez(folder / f"{name}.npz", calibration=calibration, test=test, reference=reference)
    return seconds


def _make_table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = Table("network", "file, runtime", box=box.MARKDOWN)
    for column in ("time", "error, root mean square", "largest"):
        table.add_column(column, justify="right")
    for name, rows in results.items():
        for key, row in rows.items():
            table.add_row(name, key, f"{row['time']:.2f}", f"{row['typical']:.4f}", f"{row['largest']:.3f}")
    return table


if __name__ == "__main__":
    typer.run(main)

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.model_io.inputs import parse_input
from convert.model_io.patterns import choose_ranges
from convert.model_io.samples import LARGEST_RUN, SMALLEST_LARGE_BATCH, generate_samples
from convert.parity import workload
from convert.parity.verify import Original
from convert.parity.workload import OF_A_NUMBER, count_rows, measure_work
from convert.pipeline import convert
from convert.sources.export import export
from convert.sources.load import load
from convert.sources.source import Source
from tests.convert.models import save_checkpoint

X = parse_input("x:float32[N,3,8,8]")
CONVOLVED = 8 * 6 * 6


def _make_source(model: nn.Module) -> Source:
    return Source(model.eval(), (X,), ("y",), None, None, "", kind="module")


def _measure(source: Source) -> workload.Work:
    return measure_work(Original(source.model, ["y"]), source)


def _count_rows(source: Source) -> int:
    return count_rows(_measure(source), source.inputs, choose_ranges(source.inputs))


def test_a_layer_counts_products_and_written_numbers() -> None:
    work = _measure(_make_source(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU())))
    assert work.operations == 2 * CONVOLVED * 3 * 9 + OF_A_NUMBER * 2 * CONVOLVED
    assert work.largest == CONVOLVED


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU()),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2, bias=False), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(192, 64, bias=False), nn.ReLU()),
        nn.Sequential(nn.Linear(8, 64, bias=False), nn.Sigmoid()),
    ],
    ids=["convolution", "transposed convolution", "dense", "product"],
)
def test_a_graph_counts_as_the_module_that_it_was_written_of(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(serialise(export(model.eval(), [X], ["y"]).model))
    graph = load(path)
    known = _measure(_make_source(model))
    work = measure_work(Original(graph.model, ["y"]), graph)
    assert work.largest == known.largest
    assert work.operations == pytest.approx(known.operations, rel=0.3)  # torch unfolds a product, and copies


def test_the_more_work_a_sample_is_the_fewer_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _make_source(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    original = Original(source.model, ["y"])
    assert _count_rows(source) == LARGEST_RUN
    once = measure_work(original, source)
    monkeypatch.setattr(workload, "OPERATIONS", 30 * once.operations)
    assert _count_rows(source) == 30 - 9  # one and two samples, and six extremes
    monkeypatch.setattr(workload, "NUMBERS", 5 * once.largest)
    assert _count_rows(source) == 5
    monkeypatch.setattr(workload, "OPERATIONS", once.operations)
    assert _count_rows(source) == 1
    assert _count_rows(replace(source, inputs=(parse_input("x:float32[4,3,8,8]"),))) == LARGEST_RUN


@pytest.mark.slow
def test_much_work_means_few_samples_but_every_extreme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_checkpoint(tmp_path / "m.pt")
    monkeypatch.setattr(workload, "OPERATIONS", 1.0)
    sets = convert(source, tmp_path / "m.onnx").parity.sets
    known = generate_samples([parse_input("image:float32[N,3,8,8]")], 1)
    assert [record.samples for record in sets] == [len(record.arrays[0]) for record in known]
    assert max(record.samples for record in sets) == SMALLEST_LARGE_BATCH
    assert {record.name for record in sets} >= {"large", "tiny", "zero", "boundary", "nan", "inf"}


class _Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.above, self.below = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 8] -> [N, 4]."""
        result: Tensor = torch.cond(
            x.sum() > 0, lambda y: self.above(y) * 2, lambda y: self.below(y) + 1, (x,)
        )
        return result


def test_counting_leaves_a_branching_model_runnable() -> None:
    inputs = parse_input("x:float32[N,8]")
    source = Source(_Branch().eval(), (inputs,), ("y",), None, None, "", kind="module")
    original = Original(source.model, ["y"])
    assert _count_rows(source) == LARGEST_RUN
    for samples in generate_samples([inputs]):
        own, wide = original.run_float32(samples.arrays), original.run_float64(samples.arrays)
        assert own["y"].shape == wide["y"].shape == (len(samples.arrays[0]), 4)

"""bfloat16 by the provider, where this machine has one that computes it."""

from pathlib import Path

import pytest

from adaptact.providers.catalogue import PROVIDERS
from convert.artefact.file import serialise
from convert.errors import PrecisionError, UsageError
from convert.pipeline import convert
from convert.precision.budgets import BudgetOptions
from convert.precision.computed import computed_in
from convert.precision.quantise import QuantisedModel, RoundingTask, quantise, round_everywhere
from tests.convert.precision.networks import as_own_samples, build_network, build_original, make_samples
from tests.openvino import require_openvino


def _judge(budgets: BudgetOptions) -> QuantisedModel:
    require_openvino()
    if not PROVIDERS["openvino"].computes("bf16"):
        pytest.skip("the processor has no bfloat16")
    _, spec, graph = build_network("rows")
    sets = as_own_samples(make_samples(spec, 100, 8))
    return quantise(graph, build_original("rows"), sets, RoundingTask("bf16", budgets), provider="openvino")


def test_the_file_stays_float32_and_the_loss_is_the_providers() -> None:
    judged = _judge(BudgetOptions())
    _, _, graph = build_network("rows")
    assert serialise(judged.model) == serialise(graph)
    assert (judged.precision, judged.method, judged.kept, judged.sites) == ("bf16", "computed", (), 0)
    (loss,) = judged.losses.losses
    assert 1e-4 < loss.largest < 0.01  # of float32 it would be 1e-7


def test_a_loss_above_the_budget_is_an_error() -> None:
    with pytest.raises(PrecisionError, match="bf16 failed its gate: output `y` is off by"):
        _judge(BudgetOptions(max_error=1e-5))


def test_a_provider_without_bfloat16_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`cpu` does not compute in bf16 on this machine") as caught:
        convert(tmp_path / "missing.pt", tmp_path / "m.onnx", precision="bf16")
    assert "--provider openvino" in str(caught.value.hint)
    assert computed_in("bf16", "cpu") == "fp32"  # so is a file that was made elsewhere


def test_the_forms_are_timed_in_the_graph_as_it_is() -> None:
    _, _, graph = build_network("rows")
    assert round_everywhere(graph, build_original("rows"), (), RoundingTask("bf16", BudgetOptions())) is graph

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from adaptive_act import Activation, PReLU, swap
from convert.evidence.collect import record_activations, record_parity
from convert.model_io.samples import SampleSet
from convert.parity.criterion import Run, compare, measure_scales
from convert.parity.verify import Parity
from tests.convert.models import SharedActivation


def _make_samples(count: int = 50) -> SampleSet:
    return SampleSet("given, 0", (np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32),))


def _build_model() -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = swap(plain, {nn.ReLU: PReLU}, per_channel=True, example=torch.ones(1, 4)).model
    with torch.no_grad():
        model.get_parameter("1.a").add_(0.25)
    return model.eval()


def test_values_start_and_curves_are_the_layers() -> None:
    (records,) = record_activations(_build_model(), [_make_samples()])
    assert records.values == {"a": (0.25,) * 6}
    assert records.start is not None
    assert records.start.values == {"a": (0.0,) * 6}
    assert records.replaced == "ReLU()"
    points = np.array(records.curve.points)
    np.testing.assert_allclose(records.curve.values[3], np.where(points < 0, points / 4, points))
    np.testing.assert_allclose(records.start.curve[3], np.maximum(points, 0), atol=1e-12)


def test_the_histogram_is_that_of_the_inputs() -> None:
    model, samples = _build_model(), _make_samples()
    (records,) = record_activations(model, [samples])
    linear = model.get_submodule("0")
    inputs = linear(torch.from_numpy(samples.arrays[0])).detach().numpy()
    assert records.reach is not None
    assert records.reach.inputs == inputs.size
    assert abs(records.reach.below_zero - (inputs < 0).mean()) < 1e-3
    expected, _ = np.histogram(inputs, len(records.reach.shares), (records.reach.low, records.reach.high))
    np.testing.assert_allclose(records.reach.shares, expected / inputs.size, atol=3e-3)


def test_the_ends_of_the_inputs_are_the_extremes_and_not_those_of_the_histogram() -> None:
    model, samples = _build_model(), _make_samples(2000)
    (records,) = record_activations(model, [samples])
    inputs = model.get_submodule("0")(torch.from_numpy(samples.arrays[0])).detach().numpy()
    assert records.reach is not None
    assert (records.reach.least, records.reach.most) == pytest.approx((inputs.min(), inputs.max()), rel=1e-6)
    assert inputs.min() < records.reach.low
    beyond = (inputs < records.reach.low).mean(), (inputs > records.reach.high).mean()
    assert max(beyond) <= 0.0005


def test_an_activation_under_two_names_is_written_under_both() -> None:
    first, second = record_activations(SharedActivation().eval(), [_make_samples()])
    assert (first.layer, second.layer) == ("act", "again")
    assert first.reach == second.reach


def test_unreached_layers_leave_the_rest() -> None:
    lost = SampleSet("given, 0", (np.full((2, 4), np.nan, np.float32),))
    (records,) = record_activations(_build_model(), [lost])
    assert records.reach is None
    assert records.words


def test_a_model_without_activations_has_none() -> None:
    assert record_activations(nn.Linear(4, 2).eval(), [_make_samples()]) == ()


def test_the_model_is_left_as_it_was() -> None:
    model = _build_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    record_activations(model, [_make_samples()])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules() if isinstance(module, Activation))


REFERENCE = np.linspace(-2, 4, 40).reshape(20, 2)
ORIGINAL = (REFERENCE * (1 + 1e-6)).astype(np.float32)
FILE = (REFERENCE * (1 + 2e-6)).astype(np.float32)


def _measure_parity(file: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Parity:
    runs = (
        Run("typical", 20, True, True, {"y": REFERENCE}, [{"y": ORIGINAL}], {"y": file}),
        Run("nan", 20, False, False, {"y": REFERENCE * np.nan}, [{"y": ORIGINAL * np.nan}], {"y": file}),
    )
    usual = measure_scales(runs)
    return Parity(tuple(compare(run, "y", usual["y"], 0.25) for run in runs), runs, {"y": 0.25})


def test_quantiles_and_the_ratio_are_those_of_the_errors() -> None:
    (output,) = record_parity(_measure_parity(FILE)).outputs
    error = np.abs(FILE - REFERENCE).reshape(-1)
    own = np.abs(ORIGINAL - REFERENCE).reshape(-1)
    assert output.quantiles["1"] == pytest.approx(error.max(), rel=1e-2)
    assert output.original_quantiles["0.5"] == pytest.approx(np.quantile(own, 0.5, method="higher"), rel=1e-2)
    assert output.ratio == pytest.approx(np.sqrt((error**2).mean() / (own**2).mean()), rel=1e-2)
    assert output.over_scale()["1"] == pytest.approx(error.max() / 4, rel=2e-2)
    assert output.tolerance == 0.25


def test_the_interval_of_top1_is_wilsons() -> None:
    (output,) = record_parity(_measure_parity(FILE)).outputs
    assert output.top1 is not None
    low, high = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert output.top1.agreed == 20
    assert [output.top1.low, output.top1.high] == pytest.approx([low, high])


def test_each_set_records_its_allowance_and_losses() -> None:
    typical, nan = record_parity(_measure_parity(FILE)).sets
    assert 0 < typical.used["y"] < 1
    assert (nan.non_finite, nan.non_finite_lost) == (40, 40)


def test_a_file_that_fails_is_measured_too() -> None:
    broken = FILE.copy()
    broken[3, 1] = np.inf
    (output,) = record_parity(_measure_parity(broken)).outputs
    assert output.file_error == output.ratio == output.quantiles["1"] == np.inf
    assert np.isfinite(output.quantiles["0.5"])


def test_an_exact_original_has_no_ratio() -> None:
    exact = np.ones((2, 2))
    single = exact.astype(np.float32)
    run = Run("typical", 2, True, True, {"y": exact}, [{"y": single}], {"y": single})
    (output,) = record_parity(Parity((compare(run, "y", 1.0),), (run,), {})).outputs
    assert output.ratio is None

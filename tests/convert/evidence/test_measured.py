import numpy as np
import pytest
from scipy import stats

from convert.evidence.measured import measured
from convert.parity.criterion import Run, compare, scales
from convert.verify import Parity

REFERENCE = np.linspace(-2, 4, 40).reshape(20, 2)
ORIGINAL = (REFERENCE * (1 + 1e-6)).astype(np.float32)
FILE = (REFERENCE * (1 + 2e-6)).astype(np.float32)


def _parity(file: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Parity:
    runs = (
        Run("typical", 20, True, True, {"y": REFERENCE}, [{"y": ORIGINAL}], {"y": file}),
        Run("nan", 20, False, False, {"y": REFERENCE * np.nan}, [{"y": ORIGINAL * np.nan}], {"y": file}),
    )
    usual = scales(runs)
    return Parity(tuple(compare(run, "y", usual["y"], 0.25) for run in runs), runs, {"y": 0.25})


def test_quantiles_and_the_ratio_are_those_of_the_errors() -> None:
    (output,) = measured(_parity(FILE)).outputs
    error = np.abs(FILE - REFERENCE).reshape(-1)
    own = np.abs(ORIGINAL - REFERENCE).reshape(-1)
    assert output.quantiles["1"] == pytest.approx(error.max(), rel=1e-2)
    assert output.original_quantiles["0.5"] == pytest.approx(np.quantile(own, 0.5, method="higher"), rel=1e-2)
    assert output.ratio == pytest.approx(np.sqrt((error**2).mean() / (own**2).mean()), rel=1e-2)
    assert output.over_scale()["1"] == pytest.approx(error.max() / 4, rel=2e-2)
    assert output.tolerance == 0.25


def test_the_interval_of_top1_is_wilsons() -> None:
    (output,) = measured(_parity(FILE)).outputs
    assert output.top1 is not None
    low, high = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert output.top1.agreed == 20
    assert [output.top1.low, output.top1.high] == pytest.approx([low, high])


def test_each_set_says_what_it_used_and_what_it_lost() -> None:
    typical, nan = measured(_parity(FILE)).sets
    assert 0 < typical.used["y"] < 1
    assert (nan.non_finite, nan.non_finite_lost) == (40, 40)


def test_a_file_that_fails_is_measured_too() -> None:
    broken = FILE.copy()
    broken[3, 1] = np.inf
    (output,) = measured(_parity(broken)).outputs
    assert output.file_error == output.ratio == output.quantiles["1"] == np.inf
    assert np.isfinite(output.quantiles["0.5"])


def test_an_exact_original_has_no_ratio() -> None:
    exact = np.ones((2, 2))
    single = exact.astype(np.float32)
    run = Run("typical", 2, True, True, {"y": exact}, [{"y": single}], {"y": single})
    (output,) = measured(Parity((compare(run, "y", 1.0),), (run,), {})).outputs
    assert output.ratio is None

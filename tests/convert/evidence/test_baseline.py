from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx.parser import parse_model

from convert.evidence import baseline
from convert.evidence.baseline import CELLS, MOST_CATEGORIES, find_reaching, record_baseline
from convert.graph.nodes import SCOPES
from convert.manifest.baseline import LEAST_ROWS, BaselineRecord, SeriesRecord
from convert.model_io.array import Array
from convert.model_io.samples import SampleSet
from convert.pipeline import convert
from tests.convert.models import save_checkpoint

ADD = "net (float[N, C] x) => (float[N, C] y) { inner = Add(x, x) y = Abs(inner) }"
RANDOM = np.random.default_rng(0)


def _record(text: str, *sets: tuple[Array, ...], given: bool = True) -> BaselineRecord | None:
    proto = parse_model(f'<ir_version: 10, opset_import: ["": 20]> {text}')
    model = ir.from_proto(proto)
    for node in model.graph:
        if node.op_type == "Abs":
            node.metadata_props[SCOPES] = "['', 'features', 'features.1', 'abs']"
    samples = [SampleSet(f"{place}", arrays, given=given) for place, arrays in enumerate(sets)]
    reaching = find_reaching(model.graph, ["features.1"])
    return record_baseline(model.graph, proto.SerializeToString(), samples, reaching, "cpu")


def _find(record: BaselineRecord | None, role: str, column: int | None = None) -> SeriesRecord:
    assert record is not None
    (found,) = [each for each in record.series if (each.role, each.column) == (role, column)]
    return found


def test_generated_samples_are_no_baseline() -> None:
    assert _record(ADD, (np.ones((500, 2), np.float32),), given=False) is None


def test_few_rows_are_no_baseline() -> None:
    assert _record(ADD, (np.ones((LEAST_ROWS - 1, 2), np.float32),)) is None
    assert (
        _record(ADD, (np.ones((LEAST_ROWS - 1, 2), np.float32),), (np.ones((1, 2), np.float32),)) is not None
    )


def test_cells_hold_equal_shares_and_the_range_almost_all() -> None:
    values = RANDOM.normal(size=(2000, 2)).astype(np.float32)
    found = _find(_record(ADD, (values[:1500],), (values[1500:],)), "input", 1)
    assert sum(found.counts) == 2000
    np.testing.assert_allclose(found.counts, 2000 / CELLS, atol=2)
    column = values[:, 1].astype(np.float64)
    expected, _ = np.histogram(column, [-np.inf, *found.edges, np.inf])
    assert list(found.counts) == expected.tolist()
    assert found.low is not None
    assert found.high is not None
    assert found.outside == pytest.approx(((column < found.low) | (column > found.high)).mean(), abs=1e-6)
    assert found.outside < 0.003


def test_an_activation_s_inputs_are_those_in_the_file() -> None:
    values = RANDOM.normal(size=(300, 2)).astype(np.float32)
    record = _record(ADD, (values,))
    found = _find(record, "activation")
    assert (found.tensor, found.layer) == ("inner", "features.1")
    expected, _ = np.histogram(2 * values.astype(np.float64), [-np.inf, *found.edges, np.inf])
    assert list(found.counts) == expected.tolist()


@pytest.mark.parametrize("fill", [0.1, 7.0, -np.inf])
def test_values_that_are_all_alike_have_one_cell(fill: float) -> None:
    values = np.full((200, 2), fill, np.float32)
    values[0, 1] = 1.0  # something finite
    found = _find(_record(ADD, (values,)), "input", 1)
    assert sum(found.counts) == 200
    assert len(found.counts) <= 2
    assert found.outside <= 0.01 or np.isinf(fill)


def test_zeros_among_numbers_keep_their_cells_apart() -> None:
    values = np.maximum(RANDOM.normal(size=(1000, 2)), 0).astype(np.float32)
    found = _find(_record(ADD, (values,)), "input", 0)
    assert list(found.edges) == sorted(set(found.edges))
    assert found.counts[0] == pytest.approx((values[:, 0] < found.edges[0]).sum())


def test_what_is_not_finite_is_outside_the_range() -> None:
    values = RANDOM.normal(size=(1000, 2)).astype(np.float32)
    values[:100, 0] = np.nan
    values[100:300, 0] = np.inf
    found = _find(_record(ADD, (values,)), "input", 0)
    assert sum(found.counts) == 900
    assert found.outside == pytest.approx(0.3, abs=0.01)
    assert np.isfinite(found.edges).all()


def test_a_column_without_a_number_keeps_its_place() -> None:
    values = RANDOM.normal(size=(200, 3)).astype(np.float32)
    values[:, 1], values[:, 2] = np.nan, np.inf
    record = _record(ADD, (values,))
    for column, infinite in ((1, 0), (2, 200)):
        found = _find(record, "input", column)
        assert (found.edges, found.counts, found.low, found.high) == ((), (infinite,), None, None)
        assert (found.rows, found.outside) == (200, 0)


def test_numbers_that_name_something_are_counted_by_the_most_frequent() -> None:
    text = "net (int64[N] ids) => (int64[N] same) { same = Identity(ids) }"
    ids = np.concatenate([np.arange(1000), np.full(300, -(2**62)), np.full(200, 5)]).astype(np.int64)
    found = _find(_record(text, (ids,)), "input")
    assert found.categories[:2] == (str(-(2**62)), "5")
    assert len(found.categories) == MOST_CATEGORIES
    assert found.counts[:2] == (300, 201)
    assert sum(found.counts) == len(ids)
    assert (found.edges, found.low, found.high) == ((), None, None)


def test_texts_are_counted_as_they_are() -> None:
    text = "net (string[N] words) => (string[N] same) { same = Identity(words) }"
    words = np.array(["yes"] * 150 + ["no" * 100] * 50, object)
    for role in ("input", "output"):
        found = _find(_record(text, (words,)), role)
        assert found.categories == ("yes", "no" * 32)
        assert found.counts == (150, 50, 0)


def test_images_are_told_apart_by_channel() -> None:
    text = "net (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Identity(x) }"
    images = (RANDOM.normal(size=(150, 3, 40, 40)) + np.arange(3)[:, None, None]).astype(np.float32)
    record = _record(text, (images[:100],), (images[100:, :, :20, :10],))
    for channel in range(3):
        found = _find(record, "input", channel)
        assert sum(found.counts) == 150 * (baseline.MOST_VALUES // 3)
        assert found.edges[CELLS // 2 - 1] == pytest.approx(channel, abs=0.05)


def test_a_tensor_without_a_row_for_each_sample_counts_once_for_each_set() -> None:
    text = "net (float[N, 2] x) => (float total) { total = ReduceSum<keepdims = 0>(x) }"
    values = np.abs(RANDOM.normal(size=(200, 2))).astype(np.float32)
    record = _record(text, (values[:100],), (values[100:],))
    assert (_find(record, "input").rows, _find(record, "output").rows) == (200, 2)


def test_wide_tables_are_one_series() -> None:
    values = RANDOM.normal(size=(200, 65)).astype(np.float32)
    record = _record(ADD, (values,))
    assert record is not None
    assert [(each.role, each.column) for each in record.series if each.role == "input"] == [("input", None)]


@pytest.mark.slow
def test_the_manifest_holds_what_the_file_held_on_the_samples(tmp_path: Path) -> None:
    source = save_checkpoint(tmp_path / "model.pt")
    np.savez(tmp_path / "samples.npz", image=RANDOM.normal(size=(100, 3, 8, 8)).astype(np.float32))
    manifest = convert(source, tmp_path / "model.onnx", samples=tmp_path / "samples.npz")
    assert manifest.baseline is not None
    assert manifest.baseline.rows == 100
    layers = [each.layer for each in manifest.baseline.series if each.role == "activation"]
    assert layers == [record.layer for record in manifest.activations]

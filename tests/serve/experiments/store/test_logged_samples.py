import json

import numpy as np

from serve.engine.datatypes import BFLOAT16
from serve.experiments.store.database import Store
from serve.experiments.store.exposures import ExposureWriter, WriterCounts
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.logged_samples import LoggedSample, read_samples
from serve.experiments.store.records import MAX_PAYLOAD
from serve.rollout.packing import pack_arrays
from tests.serve.experiments.store.rows import arm


def test_inputs_and_outputs_are_read_with_the_last_label_that_came(store: Store) -> None:
    writer = ExposureWriter(store, interval=0.01)
    a, b, other = (writer.handle(arm(**changes)) for changes in ({}, {"variant": "b"}, {"experiment": "f"}))
    for number in range(40):
        writer.note_sample(a, f"é{number:02}", number, b"in\0" + bytes([number]), b"")
    writer.note_sample(b, "é00", 5, b"", b"out")
    writer.note_sample(other, "é00", 5, b"", b"")
    writer.note_sample(a, "é00", 99, b"again", b"")
    assert writer.flush()
    writer.close()
    labels = [Feedback("m", value, request_id="é01", at=10**15 + at) for at, value in ((2, 7.0), (1, 8.0))]
    labels.append(Feedback("n", 1.0, request_id="é01"))
    assert accept(store, labels).new == 3
    read = list(read_samples(store, "e"))
    assert read[0] == LoggedSample("é00", "a", 0, b"in\0\0", b"", {})
    assert read[1] == LoggedSample("é00", "b", 5, b"", b"out", {})
    assert read[2].labels == {"m": 7.0, "n": 1.0}
    assert [sample.at for sample in read[2:]] == list(range(1, 40))


def test_payloads_that_are_too_large_are_counted_and_not_stored(store: Store) -> None:
    writer = ExposureWriter(store, interval=0.01)
    handle = writer.handle(arm())
    writer.note_sample(handle, "r", 1, b"x" * MAX_PAYLOAD, b"")
    writer.note_sample(handle, "s", 1, b"x" * MAX_PAYLOAD, b"y")
    writer.note_sample(handle, "t" * 201, 1, b"", b"")
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=1, lost=2, waiting=0)
    writer.close()
    assert [len(sample.inputs) for sample in read_samples(store, "e")] == [MAX_PAYLOAD]


def test_a_sample_is_a_line_of_json() -> None:
    inputs = {"x": np.array([[1, float("nan"), float("inf")]], np.float32), "t": np.array(["é", "b"], object)}
    outputs = {"y": np.array([[1, 2]]), "b": np.array([0x3FC0, 0x4000], np.uint16).view(BFLOAT16)}
    sample = LoggedSample("r1", "a", 5, pack_arrays(inputs), pack_arrays(outputs), {"right": 1.0})
    assert json.loads(sample.write_line()) == {
        "request_id": "r1",
        "variant": "a",
        "at": 5,
        "labels": {"right": 1.0},
        "inputs": {"x": [[1.0, None, None]], "t": ["é", "b"]},
        "outputs": {"y": [[1, 2]], "b": [1.5, 2.0]},
    }

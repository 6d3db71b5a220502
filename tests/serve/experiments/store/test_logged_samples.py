from serve.experiments.store.database import Store
from serve.experiments.store.exposures import ExposureWriter, WriterCounts
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.logged_samples import LoggedSample, read_samples
from serve.experiments.store.records import MAX_PAYLOAD
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
    assert accept(store, labels).new == 2
    read = list(read_samples(store, "e", "m"))
    assert read[0] == LoggedSample("é00", "a", 0, b"in\0\0", b"", None)
    assert read[1] == LoggedSample("é00", "b", 5, b"", b"out", None)
    assert read[2].label == 7.0
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
    assert [len(sample.inputs) for sample in read_samples(store, "e", "m")] == [MAX_PAYLOAD]

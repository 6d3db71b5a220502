from dataclasses import replace

from convert.evidence.provider_tables import describe_choice, tabulate_candidates
from convert.manifest.manifest import Manifest
from convert.manifest.providers import CandidateRecord, ProviderChoiceRecord
from tests.convert.manifest.test_manifest import MANIFEST

CHOICE = ProviderChoiceRecord(
    *("openvino", 2, "EPYC", {"onnxruntime": "1.32.0"}, (1, 8), 15.0, 0.913, "the samples of parity"),
    (
        CandidateRecord("cpu", 2, (10.0, 70.5), 1.0, 9, "not clearly faster than the first"),
        CandidateRecord("openvino", 2, (8.0, 50.0), 0.75, 9, ""),
        CandidateRecord("openvino", 1, (), None, 0, "no kernel for it"),
    ),
    "it takes 0.75 of the CPU provider's time",
)


def test_the_line_names_the_choice_and_the_table_all_that_was_tried() -> None:
    assert describe_choice(CHOICE) == (
        "openvino, 2 threads, EPYC: it takes 0.75 of the CPU provider's time (0.913 s)"
    )
    assert [row[2:] for row in tabulate_candidates(CHOICE).rows] == [
        ("batch 1: 10 µs, batch 8: 70.5 µs", "1.000", "9", "not clearly faster than the first"),
        ("batch 1: 8 µs, batch 8: 50 µs", "0.750", "9", "taken"),
        ("", "", "0", "no kernel for it"),
    ]


def test_a_choice_is_read_again_and_older_files_have_none() -> None:
    manifest = replace(MANIFEST, choice=CHOICE)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(MANIFEST.to_json()).choice is None

from collections.abc import Iterator
from pathlib import Path

from serve.sources.copy import OWN
from serve.sources.errors import PartRefusedError
from serve.sources.parts import MAX_LISTED
from serve.sources.status import LARGEST, LONGEST_REASON, RefusedPart, SourceStatus, read_status, write_status
from tests.serve.sources.doubles import Mirrored


def test_a_long_reason_is_cut(mirrored: Mirrored) -> None:
    def refuse(path: str, content: bytes) -> Iterator[bytes]:
        raise PartRefusedError("no" * 1000)

    mirrored.source.read = refuse
    reasons = {refused.reason for refused in mirrored.synchronise().refusals.values()}
    assert reasons == {"no" * (LONGEST_REASON // 2)}


def test_a_reason_that_is_no_text_can_be_read(tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir()
    status = SourceStatus(error="folder \udc80")
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status


def test_the_status_of_a_source_that_is_refused_altogether_can_be_read(tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir()
    refused = RefusedPart("\U0001f4a5" * LONGEST_REASON, "0" * 64, 10**6, 1e10 / 3)
    few = 100
    status = SourceStatus(refusals={f"{'m' * 128}/{number:018}": refused for number in range(few)})
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    size = next((tmp_path / OWN).glob("status.json")).stat().st_size
    assert size / few * MAX_LISTED < LARGEST

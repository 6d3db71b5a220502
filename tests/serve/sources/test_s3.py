from pathlib import Path

import pytest

obstore = pytest.importorskip("obstore")

from obstore.store import MemoryStore  # noqa: E402

from serve.sources import s3  # noqa: E402
from serve.sources.errors import PartRefusedError, SourceError  # noqa: E402
from serve.sources.mirror import synchronise  # noqa: E402
from serve.sources.options import SourceOptions  # noqa: E402
from serve.sources.s3 import S3Source  # noqa: E402
from tests.serve.sources.doubles import sha256  # noqa: E402


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> "MemoryStore":
    store = MemoryStore()
    monkeypatch.setattr(s3, "_make_store", lambda bucket, timeout: store)
    return store


def test_objects_below_the_prefix_are_the_files(bucket: "MemoryStore", tmp_path: Path) -> None:
    for key in ("plant/digits/1/model.onnx", "plant/digits/config.toml", "plants/x/1/model.onnx", "a.onnx"):
        obstore.put(bucket, key, key.encode())
    options = SourceOptions("s3://bucket/plant/", tmp_path / "copy")
    status = synchronise(lambda: S3Source(options.url), options)
    assert (status.error, status.refusals) == ("", {})
    assert (tmp_path / "copy/digits/1/model.onnx").read_bytes() == b"plant/digits/1/model.onnx"
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [".source", "digits"]


def test_an_object_that_changes_after_the_list_is_refused(bucket: "MemoryStore") -> None:
    obstore.put(bucket, "digits/1/model.onnx", b"old")
    source = S3Source("s3://bucket")
    [file] = source.list_files()
    obstore.put(bucket, "digits/1/model.onnx", b"new")
    with pytest.raises(PartRefusedError, match="has changed since it was listed"):
        source.open(file)


def test_a_server_that_does_not_heed_conditions_cannot_send_another_object(
    bucket: "MemoryStore", monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore.put(bucket, "digits/1/model.onnx", b"old")
    source = S3Source("s3://bucket")
    [file] = source.list_files()
    obstore.put(bucket, "digits/1/model.onnx", b"new")
    monkeypatch.setattr("obstore.get", lambda store, path, options, real=obstore.get: real(store, path))
    with pytest.raises(PartRefusedError, match="has changed since it was listed"):
        source.open(file)


def test_a_digest_in_the_object_s_metadata_counts(bucket: "MemoryStore", tmp_path: Path) -> None:
    for version, digest in (("1", sha256(b"net")), ("2", sha256(b"other"))):
        obstore.put(bucket, f"digits/{version}/model.onnx", b"net", attributes={"sha256": digest})
    obstore.put(bucket, "digits/3/model.onnx", b"net")
    options = SourceOptions("s3://bucket", tmp_path / "copy", require_digests=True)
    refusals = synchronise(lambda: S3Source(options.url), options).refusals
    assert sorted(refusals) == ["digits/2", "digits/3"]


@pytest.mark.parametrize(("allowed", "is_fine"), [("", False), ("true", True)])
def test_a_bucket_without_tls_elsewhere_has_to_be_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, is_fine: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9000")
    monkeypatch.setenv("AWS_ALLOW_HTTP", allowed)
    if is_fine:
        S3Source("s3://bucket")
    else:
        with pytest.raises(SourceError, match="is without TLS"):
            S3Source("s3://bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    S3Source("s3://bucket")

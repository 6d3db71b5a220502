import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from serve.engine.repository import MAX_FILES
from serve.sources import mlflow
from serve.sources.errors import SourceError
from serve.sources.mlflow import MlflowSource
from serve.sources.source import SourceFile
from tests.serve.sources.scripted import Answer, ScriptedServer

API = "/api/2.0/mlflow/"
ARTEFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def say(**fields: object) -> Answer:
    return Answer(json.dumps(fields).encode())


@pytest.fixture
def registry(scripted: ScriptedServer) -> ScriptedServer:
    """Version 3 of `net` has the alias `champion`; its file has another name."""
    version = {"name": "net", "version": "3", "status": "READY", "creation_timestamp": 5}
    pending = {"name": "net", "version": "4", "status": "PENDING_REGISTRATION"}

    def list_folder(request: BaseHTTPRequestHandler) -> Answer:
        path = parse_qs(urlsplit(request.path).query)["path"][0]
        if path == "7/models/m":
            named = [{"path": "net.onnx", "file_size": 3}, {"path": "data", "is_dir": True}, {"path": ".."}]
            return say(files=named)
        return say(files=[{"path": "weights 1.bin", "is_dir": False, "file_size": 7}])

    scripted.answers = {
        f"{API}registered-models/alias": say(model_version=version),
        f"{API}registered-models/search": say(registered_models=[{"name": "net"}, {"name": "no name/here"}]),
        f"{API}model-versions/get": say(model_version=version),
        f"{API}model-versions/search": say(model_versions=[version, pending, {**version, "version": "10"}]),
        f"{API}model-versions/get-download-uri": say(artifact_uri="mlflow-artifacts:/7/models/m"),
        ARTEFACTS: list_folder,
        f"{ARTEFACTS}/7/models/m/net.onnx": Answer(b"net"),
        f"{ARTEFACTS}/7/models/m/data/weights%201.bin": Answer(b"weights"),
    }
    return scripted


@pytest.mark.parametrize("uri", ["models:/net@champion", "models:/net/3", "models:/*@champion"])
def test_a_version_s_artefacts_are_its_files(registry: ScriptedServer, uri: str) -> None:
    source = MlflowSource(uri)
    files = {file.path: file for file in source.list_files()}
    assert list(files) == ["net/3/model.onnx", "net/3/data/weights 1.bin"]
    contents = [b"".join(source.open(file).pieces) for file in files.values()]
    assert contents == [b"net", b"weights"]


def test_of_all_versions_the_highest_are_taken(registry: ScriptedServer) -> None:
    assert {file.path.split("/")[1] for file in MlflowSource("models:/net").list_files()} == {"10", "3"}
    assert {file.path.split("/")[1] for file in MlflowSource("models:/net", 1).list_files()} == {"10"}


def test_artefacts_of_a_run_are_found(registry: ScriptedServer) -> None:
    registry.answers[f"{API}model-versions/get-download-uri"] = say(artifact_uri="runs:/r1/m")
    registry.answers[f"{API}runs/get"] = say(run={"info": {"artifact_uri": "mlflow-artifacts:/7/models"}})
    assert len(list(MlflowSource("models:/net/3").list_files())) == 2


def test_artefacts_in_a_bucket_are_read_from_it_whatever_their_names_are(
    registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore = pytest.importorskip("obstore")
    from serve.sources import s3  # noqa: PLC0415  # it needs obstore

    store = obstore.store.MemoryStore()
    monkeypatch.setattr(s3, "_make_store", lambda bucket, timeout: store)
    obstore.put(store, "7/m/net.onnx", b"net")
    obstore.put(store, "7/m/data/w.bin", b"weights")
    registry.answers[f"{API}model-versions/get-download-uri"] = say(artifact_uri="s3://bucket/7/m")
    source = MlflowSource("models:/net/3")
    contents = {file.path: b"".join(source.open(file).pieces) for file in list(source.list_files())}
    assert contents == {"net/3/model.onnx": b"net", "net/3/data/w.bin": b"weights"}


def test_a_bucket_without_end_is_not_listed_to_its_end(
    registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    from serve.sources import s3  # noqa: PLC0415  # it needs obstore

    def list_without_end(_: object) -> Iterator[SourceFile]:
        for number in range(10**9):
            yield SourceFile(f"{number}.bin", 1, "stamp")

    monkeypatch.setattr(s3.S3Source, "list_files", list_without_end)
    registry.answers[f"{API}model-versions/get-download-uri"] = say(artifact_uri="s3://bucket/7/m")
    assert len(list(MlflowSource("models:/net/3").list_files())) == MAX_FILES + 1


@pytest.mark.parametrize("size", ["many", [1], True, -1, 1.5, "9" * 5000])
def test_a_size_that_is_none_is_an_error(registry: ScriptedServer, size: object) -> None:
    registry.answers[ARTEFACTS] = say(files=[{"path": "net.onnx", "file_size": size}])
    with pytest.raises(SourceError, match=r"says of .*net\.onnx.* that its size is"):
        list(MlflowSource("models:/net/3").list_files())


def test_a_size_may_be_digits(registry: ScriptedServer) -> None:
    registry.answers[ARTEFACTS] = say(files=[{"path": "net.onnx", "file_size": "3"}])
    assert [file.size for file in MlflowSource("models:/net/3").list_files()] == [3]


def test_artefacts_elsewhere_are_an_error(registry: ScriptedServer) -> None:
    registry.answers[f"{API}model-versions/get-download-uri"] = say(artifact_uri="file:///home/me/mlruns")
    with pytest.raises(SourceError, match="serve-artifacts"):
        list(MlflowSource("models:/net/3").list_files())


def test_folders_without_end_are_given_up(registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "MAX_FOLDERS", 9)
    registry.answers[ARTEFACTS] = say(files=[{"path": f"{number}", "is_dir": True} for number in range(9)])
    with pytest.raises(SourceError, match="more than 9 folders"):
        list(MlflowSource("models:/net/3").list_files())


def test_pages_without_end_are_given_up(registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "MAX_PAGES", 3)
    registry.answers[f"{API}model-versions/search"] = say(model_versions=[], next_page_token="more")
    with pytest.raises(SourceError, match="more than 600 entries"):
        list(MlflowSource("models:/net").list_files())


def test_credentials_go_to_the_registry_alone(
    registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    file = f"{ARTEFACTS}/7/models/m/net.onnx"
    registry.answers[file] = Answer(b"", 302, {"Location": f"http://localhost:{registry.port}/cdn"})
    registry.answers["/cdn"] = Answer(b"net")
    source = MlflowSource("models:/net/3")
    assert b"".join(source.open(next(_only(source))).pieces) == b"net"
    assert {authorization for path, authorization in registry.asked if path == "/cdn"} == {""}
    assert {authorization for path, authorization in registry.asked if path != "/cdn"} == {"Bearer t0ken"}


@pytest.mark.parametrize("secret", ["t0ken\nmore", "t\u00f6ken"])
def test_a_token_that_no_header_can_hold_is_not_shown(
    registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", secret)
    with pytest.raises(SourceError, match=r"^MLFLOW_TRACKING_TOKEN has a character .* ASCII$"):
        list(MlflowSource("models:/net/3").list_files())


def test_a_token_from_a_file_may_end_with_a_new_line(
    registry: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken\n")
    list(MlflowSource("models:/net/3").list_files())
    assert {authorization for _, authorization in registry.asked} == {"Bearer t0ken"}


def _only(source: MlflowSource) -> Iterator[SourceFile]:
    return (file for file in source.list_files() if file.path.endswith("model.onnx"))


@pytest.mark.parametrize(
    "uri", ["models:/", "models:/net/0", "models:/net@", "models:/a/b/c", "models://net"]
)
def test_a_uri_that_names_nothing_is_an_error(scripted: ScriptedServer, uri: str) -> None:
    with pytest.raises(SourceError, match="names no model"):
        MlflowSource(uri)


def test_a_registry_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///home/me/mlruns")
    with pytest.raises(SourceError, match="MLFLOW_TRACKING_URI names no registry"):
        MlflowSource("models:/net/3")


def test_a_registry_s_url_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example:port")
    with pytest.raises(SourceError, match="is no URL"):
        MlflowSource("models:/net/3")

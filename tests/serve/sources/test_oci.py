import base64
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from serve.sources import web
from serve.sources.errors import SourceError
from serve.sources.mirror import synchronise
from serve.sources.oci import OciSource, parse_artefact, read_credentials
from serve.sources.options import SourceOptions
from serve.sources.status import SourceStatus
from tests.serve.sources.doubles import sha256
from tests.serve.sources.scripted import Answer, ScriptedServer

MANIFEST = "/v2/plant/digits/manifests/2"


def layer(title: str | None, content: bytes, **notes: str) -> dict[str, object]:
    annotations = notes if title is None else {"org.opencontainers.image.title": title, **notes}
    return {"digest": f"sha256:{sha256(content)}", "size": len(content), "annotations": annotations}


def manifest(*layers: dict[str, object]) -> bytes:
    return json.dumps({"layers": layers}).encode()


def put(server: ScriptedServer, files: dict[str, bytes]) -> None:
    """The artefact `plant/digits:2` has these files."""
    layers = [layer(title, content) for title, content in files.items()]
    server.answers[MANIFEST] = Answer(manifest(*layers))
    for content in files.values():
        server.answers[blob(content)] = Answer(content)


def blob(content: bytes) -> str:
    return f"/v2/plant/digits/blobs/sha256:{sha256(content)}"


def bring(server: ScriptedServer, folder: Path) -> SourceStatus:
    address = f"oci://{server.address}/plant/digits:2"
    return synchronise(lambda: OciSource(address), SourceOptions(address, folder), is_first=True)


def copied(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if ".source" not in path)


def test_layers_are_the_files_of_a_models_folder(scripted: ScriptedServer, tmp_path: Path) -> None:
    put(scripted, {"digits/1/model.onnx": b"1", "digits/config.toml": b"#", "net/3/model.onnx": b"3"})
    assert bring(scripted, tmp_path / "copy").error == ""
    assert copied(tmp_path / "copy") == ["digits/1/model.onnx", "digits/config.toml", "net/3/model.onnx"]


def test_layers_in_no_folder_are_a_version_of_the_repository_s_model(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    put(scripted, {"model.onnx": b"1", "model.onnx.data": b"22", "labels.txt": b"a"})
    assert bring(scripted, tmp_path / "copy").error == ""
    expected = ["digits/2/model.onnx", "digits/2/model.onnx.data", "digits/labels.txt"]
    assert copied(tmp_path / "copy") == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "no JSON object"),
        (b"{" * 10**5, "is not JSON"),
        (b'{"manifests": []}', "has no layers"),
        (b'{"layers": [1]}', "a layer without title"),
        (manifest(layer(None, b"x")), "a layer without title"),
        (manifest({**layer("model.onnx", b"x"), "size": True}), "a layer without title"),
        (manifest(layer("digits", b"x", **{"io.deis.oras.content.unpack": "true"})), "push its files one by"),
        (manifest(layer("a/1/../../b", b"x")), "holds no model"),
        (manifest(*[layer("digits/1/model.onnx", b"x")] * 30_000), "more than 4194304 bytes"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    scripted: ScriptedServer, tmp_path: Path, content: bytes, reason: str
) -> None:
    scripted.answers[MANIFEST] = Answer(content)
    assert reason in bring(scripted, tmp_path / "copy").error
    assert copied(tmp_path / "copy") == []


def test_a_blob_is_what_its_name_says(scripted: ScriptedServer, tmp_path: Path) -> None:
    put(scripted, {"model.onnx": b"good"})
    scripted.answers[blob(b"good")] = Answer(b"evil")
    assert "should have the SHA-256" in bring(scripted, tmp_path / "copy").refusals["digits/2"].reason
    scripted.answers[blob(b"good")] = Answer(b"go", length=4)
    assert "does not answer" in bring(scripted, tmp_path / "copy").refusals["digits/2"].reason
    assert copied(tmp_path / "copy") == []


def test_two_layers_with_one_title_are_refused(scripted: ScriptedServer, tmp_path: Path) -> None:
    layers = [layer("digits/1/model.onnx", b"1"), layer("digits/1/model.onnx", b"2")]
    scripted.answers[MANIFEST] = Answer(manifest(*layers))
    assert "have the same name" in bring(scripted, tmp_path / "copy").refusals["digits/1"].reason


def test_a_tag_that_moves_half_way_mixes_nothing(scripted: ScriptedServer, tmp_path: Path) -> None:
    put(scripted, {"model.onnx": b"old", "weights": b"old weights"})
    first = scripted.answers[blob(b"old")]

    def move(_: BaseHTTPRequestHandler) -> Answer:
        put(scripted, {"model.onnx": b"new", "weights": b"new weights"})
        assert isinstance(first, Answer)
        return first

    scripted.answers[blob(b"old")] = move
    bring(scripted, tmp_path / "copy")
    assert (tmp_path / "copy/digits/2/weights").read_bytes() == b"old weights"
    bring(scripted, tmp_path / "copy")
    assert (tmp_path / "copy/digits/2/model.onnx").read_bytes() == b"new"
    assert (tmp_path / "copy/digits/2/weights").read_bytes() == b"new weights"


def test_endless_redirections_end(scripted: ScriptedServer, tmp_path: Path) -> None:
    scripted.answers[MANIFEST] = Answer(b"", 307, {"Location": MANIFEST})
    assert "redirects more than 5 times" in bring(scripted, tmp_path / "copy").error
    assert len(scripted.asked) == 6


def test_a_drip_ends(scripted: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(scripted, {"model.onnx": b"x"})
    clock = iter(range(0, 10**6, 61))
    monkeypatch.setattr(web, "monotonic", lambda: next(clock))
    assert "answers too slowly" in bring(scripted, tmp_path / "copy").error


def test_a_server_with_tls_cannot_send_us_where_there_is_none() -> None:
    client = web.WebClient(httpx.URL("https://registry.example/v2/"))
    with pytest.raises(SourceError, match="sends to `http://169\\.254\\.169\\.254`, without TLS"):
        client._check_request(httpx.Request("GET", "http://169.254.169.254/latest"))


def docker_config(folder: Path, registry: str) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    (folder / "config.json").write_text(json.dumps({"auths": {f"https://{registry}/v1/": {"auth": auth}}}))


def test_a_token_is_asked_for_and_goes_to_the_registry_alone(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    docker_config(tmp_path, scripted.address)
    put(scripted, {"model.onnx": b"x"})
    content = scripted.answers[MANIFEST]
    assert isinstance(content, Answer)
    realm = f'Bearer realm="http://{scripted.address}/token",service="r",scope="repository:plant/digits:pull"'
    challenge = Answer(b"", 401, {"WWW-Authenticate": realm})
    elsewhere = f"http://localhost:{scripted.port}/cdn"

    def guard(answer: Answer) -> object:
        return lambda request: answer if request.headers.get("Authorization") == "Bearer t0ken" else challenge

    scripted.answers |= {
        MANIFEST: guard(content),  # type: ignore[dict-item]
        blob(b"x"): guard(Answer(b"", 307, {"Location": elsewhere})),  # type: ignore[dict-item]
        "/token": Answer(b'{"token": "t0ken"}'),
        "/cdn": Answer(b"x"),
    }
    assert bring(scripted, tmp_path / "copy").refusals == {}
    token, cdn = (
        next(each for each in scripted.asked if each[0].startswith(path)) for path in ("/token", "/cdn")
    )
    assert token[1] == f"Basic {base64.b64encode(b'me:secret').decode()}"
    assert "scope=repository" in token[0]
    assert cdn[1] == ""


@pytest.mark.parametrize(
    "realm",
    ['Bearer realm="http://[::bad"', 'Bearer realm="http://h:x/"', 'Bearer realm="ftp://h/"', "Digest", ""],
)
def test_an_authorization_that_cannot_be_had_is_an_error(
    scripted: ScriptedServer, tmp_path: Path, realm: str
) -> None:
    scripted.answers[MANIFEST] = Answer(b"", 401, {"WWW-Authenticate": realm})
    error = bring(scripted, tmp_path / "copy").error
    assert "is no URL" in error or "an authorization that is not known" in error


def test_an_error_never_has_the_password(scripted: ScriptedServer, tmp_path: Path) -> None:
    docker_config(tmp_path, scripted.address)
    scripted.answers[MANIFEST] = Answer(b"", 401, {"WWW-Authenticate": 'Basic realm="x"'})
    error = bring(scripted, tmp_path / "copy").error
    assert "401" in error
    assert "secret" not in error
    assert base64.b64encode(b"me:secret").decode() not in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"auths": {"r.example": {}}}', "keeps the password of `r.example` in another program"),
        ('{"auths": {"http://[": {}, "r.example": {"auth": "a\\nb"}}}', "has a character .* ASCII$"),
        ("rubbish", "cannot be read as Docker's configuration"),
    ],
)
def test_credentials_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert read_credentials("r.example") == ""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        read_credentials("r.example")


def test_a_home_that_is_no_folder_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    assert read_credentials("r.example") == ""


def test_addresses() -> None:
    digest = f"sha256:{'0' * 64}"
    assert str(parse_artefact("oci://r.example/a/b:1").base) == "https://r.example/v2/a/b/"
    assert str(parse_artefact("oci://localhost:5000/b").base) == "http://localhost:5000/v2/b/"
    assert parse_artefact(f"oci://r.example/b:1@{digest}").reference == digest
    for wrong in (
        "oci://r.example",
        "oci://r.example/B",
        "oci://r.example/../b",
        "oci://r.example/b:",
        "oci://u@r/b",
    ):
        with pytest.raises(SourceError, match="names no artefact"):
            parse_artefact(wrong)

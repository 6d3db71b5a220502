import gzip
from pathlib import Path
from urllib.parse import unquote

import pytest

from serve.access.keys import format_key
from serve.engine import Engine
from serve.rest import app
from serve.rest.console import MEDIA_TYPES, ConsoleFile, read_console
from serve.settings import Settings
from tests.serve.in_process import Client

PAGE = b"<!doctype html><title>adaptact</title>" + b" " * 2000
SCRIPT = b"export const html = 1;" + b"\n" * 2000
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known files in the place of the real ones."""
    made = {
        "index.html": ConsoleFile(PAGE, MEDIA_TYPES[".html"], is_compressed=True),
        "pages/live.js": ConsoleFile(SCRIPT, MEDIA_TYPES[".js"], is_compressed=True),
        "icon.png": ConsoleFile(b"\x89PNG", MEDIA_TYPES[".png"], is_compressed=False),
    }
    monkeypatch.setattr(app, "read_console", lambda: made)


@pytest.fixture
def console(folder: None, engine: Engine, repository: Path) -> Client:
    return Client(app.create_app(engine, Settings(models=repository)))


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/console", "text/html; charset=utf-8", PAGE),
        ("/console/", "text/html; charset=utf-8", PAGE),
        ("/console/index.html", "text/html; charset=utf-8", PAGE),
        ("/console/pages/live.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/console/icon.png", "image/png", b"\x89PNG"),
    ],
)
def test_each_file_has_its_type_and_the_strict_policy(
    console: Client, path: str, kind: str, content: bytes
) -> None:
    answered = console.get(path)
    assert (answered.status_code, answered.headers["Content-Type"], answered.content) == (200, kind, content)
    policy = dict(part.split(" ", 1) for part in answered.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answered.headers["Content-Security-Policy"]
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert answered.headers["Referrer-Policy"] == "no-referrer"
    assert answered.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answered.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Set-Cookie" not in answered.headers


def test_a_file_is_compressed_for_who_accepts_it(console: Client) -> None:
    plain = console.request("GET", "/console/pages/live.js", headers=PLAIN)
    small = console.request("GET", "/console/pages/live.js", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = console.request("GET", "/console/pages/live.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert int(small.headers["Content-Length"]) < len(SCRIPT) / 10
    assert small.content == plain.content == SCRIPT
    assert plain.headers["Vary"] == small.headers["Vary"] == "Accept-Encoding"
    picture = console.request("GET", "/console/icon.png", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in picture.headers


def test_what_a_browser_has_is_not_sent_again(console: Client) -> None:
    first = console.get("/console")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (tag, f'"other", W/{tag}'):
        again = console.request("GET", "/console", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert "Content-Security-Policy" in again.headers
    plain = console.request("GET", "/console", headers={"If-None-Match": tag, **PLAIN})
    assert plain.status_code == 200  # another coding is another answer
    assert plain.headers["ETag"] != tag


@pytest.mark.parametrize(
    "path",
    [
        "/console/%2e%2e/options.py",
        "/console/..%2f..%2f..%2fetc%2fpasswd",
        "/console//etc/passwd",
        "/console/%2fetc%2fpasswd",
        "/console/index.html%00.js",
        "/console/%00",
        "/console/pages",
        "/console/pages/",
        "/console/pages/%2e%2e/index.html",
        "/console/index.html/",
        "/console/INDEX.HTML",
        "/console/" + "a" * 10_000,
    ],
)
def test_there_is_nothing_but_the_files(console: Client, path: str) -> None:
    answered = console.get(path)
    assert answered.status_code == 404, unquote(path)
    assert answered.json()["error"].startswith("GET /console/")
    assert "Content-Security-Policy" in answered.headers


def test_the_files_are_for_everybody_and_what_they_show_is_not(
    folder: None, engine: Engine, repository: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("ops", "secret", frozenset({"infer"})))
    closed = Client(app.create_app(engine, Settings(models=repository, keys=keys)))
    assert closed.get("/console").status_code == 200
    assert closed.get("/console/pages/live.js").status_code == 200
    for path in ("/adaptact/v1/models", "/adaptact/v1/live?most=1", "/v2/models/double", "/metrics"):
        assert closed.get(path).status_code == 401


def test_it_can_be_left_out(folder: None, engine: Engine, repository: Path) -> None:
    without = Client(app.create_app(engine, Settings(models=repository, console=False)))
    assert without.get("/console").status_code == 404
    assert without.get("/console/index.html").status_code == 404


def test_the_real_files_are_small_and_hold_nothing_that_the_policy_forbids() -> None:
    console = read_console()
    assert "index.html" in console
    assert "tokens.css" in console
    assert (
        sum(len(file.compressed if file.is_compressed else file.content) for file in console.values())
        < 300_000
    )
    assert gzip.decompress(console["index.html"].compressed) == console["index.html"].content
    assert b"http://" not in console["index.html"].content
    assert b"https://" not in console["index.html"].content
    assert b"<script>" not in console["index.html"].content
    assert b" style=" not in console["index.html"].content

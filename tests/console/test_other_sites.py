"""A page of another site in the browser of somebody on the server's own machine, who needs no key there."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ASK = """([url, body]) => fetch(url, {method: 'POST', mode: 'no-cors', body}).then(() => '', String)"""
SUBMIT = """(url) => {
  const form = Object.assign(document.createElement('form'), {method: 'post', action: url, target: 'frame'});
  document.body.append(form);
  form.submit();
}"""
INSTANCES = '{"instances": [[1, 2, 3, 4]]}'


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b"<!doctype html><title>another site</title><iframe name=frame></iframe>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def evil(context: Any) -> Iterator[Any]:
    """A page of another site, open in the browser."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://localhost:{site.server_port}/")
        yield page
        site.shutdown()


def _count_requests(server: ServerProcess, code: str) -> int:
    """So far: the first snapshot may have been made before the last request."""
    _, line = httpx.get(f"{server.url}/adaptact/v1/live?most=2").text.split("data: ")[1:]
    models = httpx.Response(200, text=line).json()["models"]
    return sum(model["codes"].get(code, 0) for model in models if model["model"] == "spare")


def test_it_changes_nothing_and_gets_no_answer(evil: Any, server: ServerProcess) -> None:
    refused = _count_requests(server, "403")
    unload = f"{server.url}/v2/repository/models/spare/unload"
    assert evil.evaluate(ASK, [unload, ""]) == ""  # it was sent
    with evil.expect_response(unload) as submitted:
        evil.evaluate(SUBMIT, unload)
    assert submitted.value.status == 403
    assert evil.evaluate(ASK, [f"{server.url}/adaptact/v1/feedback", '{"metric": "accepted"}']) == ""
    assert evil.evaluate(ASK, [f"{server.url}/v1/models/spare:predict", INSTANCES]) == ""
    assert httpx.get(f"{server.url}/v2/models/spare/ready").status_code == 200
    assert _count_requests(server, "403") == refused + 1


def test_it_cannot_show_the_console_in_a_frame(evil: Any, server: ServerProcess) -> None:
    with evil.expect_console_message(lambda message: "frame-ancestors" in message.text):
        evil.evaluate("(url) => { document.querySelector('iframe').src = url }", f"{server.url}/console")
    [frame] = evil.main_frame.child_frames
    assert frame.locator("main").count() == 0

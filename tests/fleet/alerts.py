"""A receiver of Alertmanager's web hook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class AlertReceiver:
    """Alerts as they come, each with its status: `firing` or `resolved`."""

    def __init__(self) -> None:
        self._alerts: list[tuple[str, str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    labels = alert["labels"]
                    receiver._alerts.append(
                        (labels["alertname"], labels.get("instance", ""), alert["status"])
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where Alertmanager sends them."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def has(self, name: str, instance: str, status: str) -> bool:
        """Whether this alert has come."""
        return (name, instance, status) in self._alerts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

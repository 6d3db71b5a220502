"""Clients that ask, report outcomes, and unload and load a model, all at once, while somebody looks."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import httpx

from tests.console.units import MODEL

ASKING = 3
"""Clients that ask the model of the experiment, each with units of its own, and report their outcomes."""
RELOADED = "spare"
"""The model that is unloaded and loaded."""
_ROWS_A_REPORT = 20
_SECONDS_LOADED = 0.5
_REQUEST_SECONDS = 60


class Load:
    """Clients that run until the end of a `with`; it fails there if one of them could not go on."""

    def __init__(self, url: str) -> None:
        self.done: Counter[str] = Counter()
        self.url = url
        self._stop = threading.Event()
        self._failures: list[str] = []
        tasks = [*(self._make_asker(number) for number in range(ASKING)), self._reload]
        self._threads = [threading.Thread(target=self._run, args=[task], daemon=True) for task in tasks]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * _REQUEST_SECONDS)
        if error is None:
            assert self._failures == []

    def _run(self, task: Callable[[httpx.Client], None]) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=_REQUEST_SECONDS) as client:
                task(client)
        except httpx.HTTPError as error:  # shown by the thread that tests
            self._failures.append(repr(error))

    def _make_asker(self, number: int) -> Callable[[httpx.Client], None]:
        return lambda client: self._ask(client, number)

    def _ask(self, client: httpx.Client, number: int) -> None:
        rows: list[dict[str, object]] = []
        for count in itertools.count():
            if self._stop.is_set():
                return
            unit = f"load-{number}-{count}"
            tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, count % 9]}
            headers = {"X-Adaptact-Unit": unit}
            reply = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor]}, headers=headers)
            self.done[f"inference {reply.status_code}"] += 1
            if reply.headers.get("X-Adaptact-Variant"):
                rows.append({"metric": "accepted", "unit": unit, "value": count % 2})
            if len(rows) == _ROWS_A_REPORT:
                self._report(client, rows)
                rows.clear()

    def _report(self, client: httpx.Client, rows: list[dict[str, object]]) -> None:
        content = "\n".join(map(json.dumps, rows))
        headers = {"Content-Type": "application/x-ndjson"}
        reply = client.post("/adaptact/v1/feedback:bulk", content=content, headers=headers)
        self.done[f"feedback {reply.status_code}"] += 1

    def _reload(self, client: httpx.Client) -> None:
        for action in itertools.cycle(("unload", "load")):
            reply = client.post(f"/v2/repository/models/{RELOADED}/{action}", json={})
            self.done[f"{action} {reply.status_code}"] += 1
            if self._stop.wait(_SECONDS_LOADED) and action == "load":
                return

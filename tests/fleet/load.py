"""Clients that send predictions through the proxy, one after the other, and note what came of each."""

import ssl
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

BODY = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]}
PATH = "/v2/models/digits/infer"


class Load:
    """Clients over TLS with HTTP/1.1 connections that they keep; none repeats a request."""

    def __init__(
        self,
        url: str,
        authority: Path,
        key: str,
        clients: int,
        request: tuple[str, dict[str, Any]] = (PATH, BODY),
    ) -> None:
        self._path, self._body = request
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        verify = ssl.create_default_context(cafile=str(authority))
        headers = {"Authorization": f"Bearer {key}"}
        self._clients = [
            httpx.Client(base_url=url, verify=verify, headers=headers, timeout=60) for _ in range(clients)
        ]
        self._threads = [threading.Thread(target=self._send, args=(client,)) for client in self._clients]

    @property
    def failures(self) -> int:
        """How many were not answered with 200."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "200")

    def _send(self, client: httpx.Client) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            unit = {"X-Adaptact-Unit": f"{id(client)}-{number}"}
            try:
                outcome = str(client.post(self._path, json=self._body, headers=unit).status_code)
            except httpx.HTTPError as error:
                outcome = type(error).__name__
            with self._lock:
                self.outcomes[outcome] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()

"""Units that ask over HTTP, and what becomes of them, which is known only later."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

EXPERIMENT = "/adaptact/v1/experiments/digits"
INFER = "/v2/models/digits/infer"
CONNECTIONS = 8
METRIC = "right"
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a unit was answered."""

    unit: str
    variant: str
    is_right: bool


class Traffic:
    """Clients of a server, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._clients = [httpx.Client(base_url=url, timeout=SECONDS) for _ in range(CONNECTIONS)]
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def ask(
        self, units: Sequence[str], images: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> list[Answered]:
        """What each unit is answered for its image; raises `httpx.HTTPStatusError` if a request fails."""
        shares = [slice(place, None, CONNECTIONS) for place in range(CONNECTIONS)]
        parts = [(units[share], images[share], labels[share]) for share in shares]
        answered = self._threads.map(_ask_each, self._clients, parts)
        return [answer for part in answered for answer in part]

    def report(self, answered: Sequence[Answered]) -> None:
        """Tell the server what has become of the units."""
        rows = ({"unit": each.unit, "metric": METRIC, "value": int(each.is_right)} for each in answered)
        content = "\n".join(map(json.dumps, rows))
        headers = {"content-type": "application/x-ndjson"}
        reply = self._clients[0].post("/adaptact/v1/feedback:bulk", content=content, headers=headers)
        reply.raise_for_status()

    def answer_by(self, version: str) -> None:
        """From now on this version answers whoever names none, as the control must."""
        path = "/adaptact/v1/models/digits/aliases/stable"
        self._clients[0].put(path, json={"version": version}).raise_for_status()

    def take(self, act: str) -> dict[str, Any]:
        """The experiment after the act."""
        reply = self._clients[0].post(f"{EXPERIMENT}:{act}", json={"reason": "the demo"})
        found: dict[str, Any] = reply.raise_for_status().json()
        return found

    def read_results(self) -> dict[str, Any]:
        """What the experiment shows now."""
        found: dict[str, Any] = self._clients[0].get(f"{EXPERIMENT}/results").raise_for_status().json()
        return found

    def find_versions(self) -> set[str]:
        """The versions that answer now."""
        image = np.zeros((1, 1, 8, 8), np.float32)
        return {_infer(client, "anyone", image).json()["model_version"] for client in self._clients}

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown()
        for client in self._clients:
            client.close()


def _ask_each(
    client: httpx.Client, part: tuple[Sequence[str], NDArray[np.float32], NDArray[np.int64]]
) -> list[Answered]:
    return list(_answer(client, *part))


def _answer(
    client: httpx.Client, units: Sequence[str], images: NDArray[np.float32], labels: NDArray[np.int64]
) -> Iterator[Answered]:
    for unit, image, label in zip(units, images, labels, strict=True):
        reply = _infer(client, unit, image[np.newaxis])
        scores = reply.json()["outputs"][0]["data"]
        yield Answered(unit, reply.headers["x-adaptact-variant"], int(np.argmax(scores)) == int(label))


def _infer(client: httpx.Client, unit: str, image: NDArray[np.float32]) -> httpx.Response:
    tensor = {"name": "image", "datatype": "FP32", "shape": image.shape, "data": image.ravel().tolist()}
    body = {"inputs": [tensor]}
    return client.post(INFER, json=body, headers={"x-adaptact-unit": unit}).raise_for_status()

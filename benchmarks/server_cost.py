"""What a server's processes cost for a request: pairs of servers, asked in turns by the same connections."""

import json
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, takewhile
from math import inf
from pathlib import Path
from typing import TypeAlias

import numpy as np
import psutil
from numpy.typing import NDArray
from rich import box
from rich.progress import track
from rich.table import Table

FORMATS = ("JSON", "binary")
Case: TypeAlias = tuple[str, ...]
"""The parts of what is asked, such as model and format."""
Costs: TypeAlias = dict[Case, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and what is asked of it."""

    process: psutil.Process
    port: int

    def processor_seconds(self) -> float:
        """What the threads of its processes have used so far, to the nanosecond."""
        processes = [self.process, *self.process.children(recursive=True)]
        files = [file for one in processes for file in Path(f"/proc/{one.pid}/task").glob("*/schedstat")]
        return sum(int(file.read_text().split()[0]) for file in files) / 1e9


@contextmanager
def serve(models: Path, workers: int, *arguments: str) -> Iterator[Server]:
    """A server of the models in the folder, with these further options."""
    program = Path(sys.executable).with_name("adaptact-serve")
    command = [str(program), "--models", str(models), "--port", "0", "--workers", str(workers)]
    process = psutil.Popen(
        [*command, "--log-level", "warning", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        port = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        if port is None:
            raise SystemExit("the server did not start")
        yield Server(process, int(port[1]))
    finally:
        process.terminate()
        process.wait(60)


def write_request(model: str, form: str, name: str, array: NDArray[np.float32], header: str = "") -> bytes:
    """A request with this one tensor, in one of FORMATS; `header` is a further line of its head."""
    tensor: dict[str, object] = {"name": name, "shape": array.shape, "datatype": "FP32"}
    if form == "JSON":
        tail, extra = b"", ""
        text = json.dumps({"inputs": [{**tensor, "data": array.ravel().tolist()}]}).encode()
    else:
        tail = array.tobytes()
        tensor["parameters"] = {"binary_data_size": len(tail)}
        text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        extra = f"Inference-Header-Content-Length: {len(text)}\r\n"
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{extra}Content-Length: {len(text) + len(tail)}\r\n{header}\r\n"
    )
    return head.encode() + text + tail


def compare_in_turns(
    pair: tuple[Server, Server],
    cases: Mapping[Case, Sequence[bytes]],
    turns: int,
    seconds: float,
    connections: int,
) -> Costs:
    """What each case's requests cost the first server and the second: microseconds in each turn."""
    costs: Costs = {case: [] for case in cases}
    for turn in track(range(turns)):
        for case, requests in cases.items():
            order = pair if turn % 2 else pair[::-1]
            spent = {server: _measure(server, requests, seconds, connections) for server in order}
            costs[case].append((spent[pair[0]], spent[pair[1]]))
    return costs


def tabulate(headings: Sequence[str], costs: Costs) -> tuple[Table, dict[str, dict[str, float]]]:
    """The costs as a table, with a column under each heading for the parts of a case; and as numbers."""
    table = Table(box=box.MARKDOWN)
    for column in (*headings, "without, µs", "with, µs", "more", "95 % interval"):
        table.add_column(column, justify="right" if "µs" in column or "%" in column else "left")
    numbers = {}
    for case, pairs in costs.items():
        plain, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        more, low, high = compare(np.array(pairs))
        table.add_row(*case, f"{plain:.1f}", f"{other:.1f}", f"{more:+.1%}", f"{low:+.1%} to {high:+.1%}")
        numbers[", ".join(case)] = {"without": plain, "with": other, "more": more, "low": low, "high": high}
    return table, numbers


def _measure(server: Server, requests: Sequence[bytes], seconds: float, connections: int) -> float:
    """Microseconds of the server's processor time for a request, with the writing that follows it."""
    ask_all(server, requests, connections, count=40 * connections)
    time.sleep(0.6)
    before = server.processor_seconds()
    answered = ask_all(server, requests, connections, seconds)
    time.sleep(0.6)
    return 1e6 * (server.processor_seconds() - before) / answered


def ask_all(
    server: Server,
    requests: Sequence[bytes],
    connections: int,
    seconds: float = inf,
    count: int = sys.maxsize,
) -> int:
    """Ask over so many connections at once, for so long or as often; the number of answers."""
    end, share = time.perf_counter() + seconds, count // connections
    places = [place * len(requests) // connections for place in range(connections)]
    parts = [islice(cycle(requests), place, place + share) for place in places]
    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(partial(_ask, server.port, end), parts))


def _ask(port: int, end: float, requests: Iterator[bytes]) -> int:
    answered = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for request in takewhile(lambda _: time.perf_counter() < end, requests):
            connection.sendall(request)
            reply = connection.recv(65536)
            while not _is_whole(reply):
                reply += connection.recv(65536)
            answered += 1
    return answered


def _is_whole(reply: bytes) -> bool:
    head, separator, body = reply.partition(b"\r\n\r\n")
    if not separator:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answered {head[:200]!r}")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def compare(pairs: NDArray[np.float64]) -> tuple[float, float, float]:
    """How much more the second costs: the median ratio less 1, and its bootstrap interval."""
    ratios = pairs[:, 1] / pairs[:, 0] - 1
    draws = np.random.default_rng(0).integers(0, len(ratios), (2000, len(ratios)))
    low, high = np.quantile(np.median(ratios[draws], axis=1), (0.025, 0.975))
    return float(np.median(ratios)), float(low), float(high)

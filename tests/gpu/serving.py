"""A server on a GPU: recorded graphs, joined requests, limits of memory, ended runs, `auto`, and HTTP."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from adaptact.providers.catalogue import ProviderChoice
from convert.manifest.providers import CANNOT_RUN, UNUSABLE, ProviderChoiceRecord
from serve.engine.choosing.task import ChoiceTask
from serve.engine.choosing.trial import try_providers
from serve.engine.config import ModelConfig
from serve.engine.engine import open_engine
from serve.engine.metrics import Metrics
from serve.engine.model_files import compute_digest, open_files
from serve.engine.options import EngineOptions
from serve.engine.providers import CudaOptions, make_run_options
from serve.engine.repository import ModelFile
from serve.engine.session import SESSION_ERRORS
from tests.gpu.bench import (
    LARGEST_FILE,
    Bench,
    CheckError,
    NotHereError,
    ask,
    compare_times,
    make_samples,
    measure_error,
    open_session,
    require,
    run,
)
from tests.serve import models
from tests.serve.process import ServerProcess

LARGEST = 1e-4
GRAPH_ROWS = (1, 8)
CLIENTS = 32
LIMIT_BYTES = 64 * 2**20
WIDE = "wide (float[N, 64] x) => (float[N, 64] y) { a = Sin(x) b = Cos(x) y = Add(a, b) }"
FITTING, TOO_MANY = 16, 2**20  # rows; these take 256 MiB, four times the limit
ENDLESS, PATIENCE_SECONDS = 10**9, 30.0


def check_graphs(bench: Bench) -> str:
    """A recorded graph gives what a run gives, for each size that is padded to it."""
    if not bench.is_cuda:
        raise NotHereError("graphs are recorded on CUDA's own provider alone")
    found = []
    for subject, path in bench.files.items():
        plain = open_session(path, bench.provider)
        recorded = open_session(path, bench.provider, CudaOptions(graph_rows=GRAPH_ROWS))
        for rows in (1, 3, 8, 9):
            x = make_samples(subject, rows, seed=rows)
            error = measure_error(run(recorded, x), run(plain, x))
            require(error < LARGEST, f"{subject}, {rows} rows: off by {error:.2g} of the scale")
        ratio = compare_times([plain, recorded], make_samples(subject, 1))[1]
        found.append(f"{subject}: one row takes {ratio:.2f} of the time")
    return "; ".join(found)


def check_batching(bench: Bench) -> str:
    """Requests that wait are joined, and each has its own answer."""
    x = make_samples("rows", CLIENTS)
    expected = run(open_session(bench.files["rows"], bench.provider), x)
    options = EngineOptions(
        bench.folder / "models", provider=bench.provider, defaults=ModelConfig(batching="on")
    )
    engine = open_engine(options, Metrics(CollectorRegistry()))
    try:
        model = engine.model("rows")

        async def ask_all() -> list[dict[str, np.ndarray]]:
            calls = (engine.run(model, {"x": x[row : row + 1]}) for row in range(CLIENTS))
            return await asyncio.gather(*calls)

        answers = np.concatenate([next(iter(answer.values())) for answer in asyncio.run(ask_all())])
        (counts,) = engine.own_statistics("rows")
    finally:
        engine.close()
    error = measure_error(answers, expected)
    require(error < LARGEST, f"off by {error:.2g} of the scale")
    require(counts.inference_count == CLIENTS, f"{counts.inference_count} rows were counted of {CLIENTS}")
    return f"{CLIENTS} requests in {counts.execution_count} runs, off by {error:.2g} of the scale at most"


def check_memory_limit(bench: Bench) -> str:
    """A run that needs more memory than it may have fails alone, and the next one answers."""
    if not bench.is_cuda:
        raise NotHereError("the limit is one of CUDA's own provider")
    path = models.put(bench.folder / "limits", "wide", models.model(WIDE))
    session = open_session(path, bench.provider, CudaOptions(memory_limit_bytes=LIMIT_BYTES))
    x = np.ones((FITTING, 64), np.float32)
    before = run(session, x)
    try:
        run(session, np.ones((TOO_MANY, 64), np.float32))
    except SESSION_ERRORS as error:
        reason = str(error).splitlines()[0][:120]
    else:
        raise CheckError(f"{TOO_MANY * 64 * 4} bytes were computed within a limit of {LIMIT_BYTES}")
    require(np.array_equal(run(session, x), before), "the answer after the failure is another one")
    return f"{LIMIT_BYTES // 2**20} MiB: refused with `{reason}`, and answered after it"


def check_cancellation(bench: Bench) -> str:
    """A run that is told to end does."""
    session = open_session(
        models.put(bench.folder / "slow", "slow", models.slow_model(ENDLESS)), bench.provider
    )
    options = make_run_options()
    threading.Timer(0.5, lambda: setattr(options, "terminate", True)).start()
    start = time.perf_counter()
    try:
        session.run({"x": np.ones(4, np.float32)}, ["y"], options)
    except SESSION_ERRORS:
        seconds = time.perf_counter() - start
    else:
        raise CheckError("it ran to its end")
    require(seconds < PATIENCE_SECONDS, f"it ended after {seconds:.0f} s")
    return f"ended {seconds - 0.5:.2f} s after it was told to"


def check_auto(bench: Bench) -> str:
    """`--provider auto` tries the provider, and answers right beside a GPU."""
    found = [f"{subject}: {_try(bench, path)}" for subject, path in bench.files.items()]
    return "; ".join([*found, _serve(bench, "auto")])


def _try(bench: Bench, path: Path) -> str:
    """What the choice says of the provider: its time, or why its answers cannot stand for the CPU's."""
    choice = _choose(path)
    tried = [each for each in choice.candidates if each.provider == bench.provider]
    require(bool(tried), f"`{bench.provider}` is no candidate")
    require(tried[0].reason not in {UNUSABLE, CANNOT_RUN}, f"`{bench.provider}`: {tried[0].reason}")
    ratio = tried[0].ratio
    what = tried[0].reason if ratio is None else f"{ratio:.2f} of the CPU provider's time"
    return f"{what}, chosen `{choice.provider}`"


def _choose(path: Path) -> ProviderChoiceRecord:
    with open_files(ModelFile("m", "1", path), LARGEST_FILE) as files:
        about = "m", "1", str(path), False, compute_digest(files), LARGEST_FILE
        return try_providers(ChoiceTask(*about, threads=1, rows=GRAPH_ROWS[-1], seconds=1.0), files)


def check_server(bench: Bench) -> str:
    """A server process on the provider answers over HTTP, and ends in time."""
    return _serve(bench, bench.provider)


def _serve(bench: Bench, provider: ProviderChoice) -> str:
    x = make_samples("rows", 3)
    expected = run(open_session(bench.files["rows"], "cpu"), x)
    server = ServerProcess("--models", str(bench.folder / "models"), "--provider", provider)
    try:
        error = measure_error(ask(server.url, x), expected)
        require(error < LARGEST, f"off by {error:.2g} of the scale")
    finally:
        code = server.stop()
    require(code == 0, f"the server ended with exit code {code}")
    return f"off by {error:.2g} of the scale"

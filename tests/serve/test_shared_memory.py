"""Shared memory as the protocol's own clients use it, with several workers and both protocols."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
import tritonclient.utils.shared_memory as memory
from tritonclient.utils import InferenceServerException

from tests.serve import models
from tests.serve.process import ServerProcess, free_port

WORKERS = 2
PREFIX = f"adaptact_test_{os.getpid()}_"
ROW = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[ModuleType, str]]:
    folder = tmp_path_factory.mktemp("models")
    models.put(folder, "double", models.model(models.DOUBLE))
    port = free_port()
    options = ("--grpc-port", str(port), "--workers", str(WORKERS), "--shared-memory", PREFIX)
    with ServerProcess("--models", str(folder), *options) as server:
        yield {tritonclient.http: server.address, tritonclient.grpc: f"127.0.0.1:{port}"}


@pytest.fixture
def handles() -> Iterator[dict[str, Any]]:
    """A region with the row, and one for an answer, by their names."""
    made = {
        name: memory.create_shared_memory_region(name, PREFIX + name, ROW.nbytes) for name in ("in", "out")
    }
    memory.set_shared_memory_region(made["in"], [ROW])
    yield made
    for handle in made.values():
        memory.destroy_shared_memory_region(handle)


@pytest.mark.slow
@pytest.mark.parametrize("module", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
def test_tensors_go_through_shared_memory_in_every_worker(
    addresses: dict[ModuleType, str], handles: dict[str, Any], module: Any
) -> None:
    clients = [module.InferenceServerClient(addresses[module]) for _ in range(2 * WORKERS)]
    x, y = module.InferInput("x", [2, 3], "FP32"), module.InferRequestedOutput("y")
    x.set_shared_memory("in", ROW.nbytes)
    y.set_shared_memory("out", ROW.nbytes)
    for name in handles:
        clients[0].register_system_shared_memory(name, PREFIX + name, ROW.nbytes)
    with pytest.raises(InferenceServerException, match="registered already"):
        clients[1].register_system_shared_memory("in", PREFIX + "in", ROW.nbytes)
    for client in clients:
        memory.set_shared_memory_region(handles["out"], [np.zeros_like(ROW)])
        answer = client.infer("double", [x], outputs=[y])
        assert answer.get_output("y") is not None
        written = memory.get_contents_as_numpy(handles["out"], np.float32, [2, 3])
        assert written.tolist() == (2 * ROW).tolist()
        assert client.infer("double", [x]).as_numpy("y").tolist() == (2 * ROW).tolist()
    clients[-1].unregister_system_shared_memory()
    for client in clients:
        with pytest.raises(InferenceServerException, match="no shared memory region `in`"):
            client.infer("double", [x])
        client.close()


def test_an_object_of_another_name_is_refused(addresses: dict[ModuleType, str], tmp_path: Path) -> None:
    with tritonclient.http.InferenceServerClient(addresses[tritonclient.http]) as client:
        for key in ("other", f"../..{tmp_path}/x"):
            with pytest.raises(InferenceServerException, match=r"\[400\] the key"):
                client.register_system_shared_memory("a", key, 8)
        assert client.get_system_shared_memory_status() == []

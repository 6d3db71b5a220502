"""A worker in which something cannot be ended: it goes on until another has taken its place."""

import os
from pathlib import Path

import pytest

from serve.engine.hung_files import HungFiles
from serve.engine.repository import find_models, read_fingerprint
from tests.serve import models
from tests.serve.workers.running import children, connections, workers
from tests.waiting import until

# Python runs this at the start of every process: the engines of the processes in the file are stuck.
PLANTED = """
import os, pathlib
from serve.engine.engine import Engine
from serve.engine.hung_files import HungFile
STUCK = pathlib.Path({file!r})
Engine.stuck = property(lambda self: "planted" if str(os.getpid()) in STUCK.read_text().split() else None)
Engine.hung_files = lambda self: {hung!r}
"""


@pytest.mark.slow
def test_a_stuck_worker_serves_until_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stuck = tmp_path / "models", tmp_path / "stuck"
    for name in ("double", "other"):
        models.put(folder, name, models.model(models.DOUBLE))
    stuck.touch()
    [file] = (found for found in find_models(folder) if found.name == "other")
    hung = HungFiles()
    hung.add(file, read_fingerprint(file), "it hung before")
    planted = PLANTED.format(file=str(stuck), hung=hung.files())
    (tmp_path / "sitecustomize.py").write_text(planted)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    with workers(folder) as server, connections(server) as clients:
        victim, other = children(server)
        stuck.write_text(str(victim.pid))

        def is_replaced() -> bool:
            with connections(server) as fresh:
                assert [client.infer()[0] for client in fresh] == [200] * len(fresh)
            return victim not in children(server)

        until(is_replaced)
        assert other in children(server)
        assert len(children(server)) == len(clients) // 2
        with connections(server) as fresh:  # some are the new worker's, which was told of the file
            assert {client.ask("/v2/models/other/ready")[0] for client in fresh} >= {503}

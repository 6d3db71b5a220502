"""What forked workers share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve import models

CODE = """
import json, sys
from serve.rest.server import make_config, make_limits
from serve.settings import Settings
from serve.shared.memory import create_limits, open_cores, open_limits
from serve.shared.worker_group import WorkerGroup
from serve.workers.fork import prepare
from serve.workers.server_process import open_server_process

settings = Settings(**json.loads(sys.argv[1]))
prepare(settings)
before = set(sys.modules)
shared = create_limits()
limits = open_limits(shared), open_cores(shared, 1)
with open_server_process(settings, WorkerGroup(), *limits, (), is_replacement=False) as process:
    config = make_config(process.app, settings, process.tls, make_limits(settings))
    config.load()
    config.get_loop_factory()().close()
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize("has_all", [False, True])
def test_workers_import_nothing_that_they_could_share(tmp_path: Path, has_all: bool) -> None:
    folder = tmp_path / "models"
    models.put(folder, "double", models.model(models.DOUBLE))
    settings = {"models": str(folder), "workers": 1}
    if has_all:
        settings |= {"grpc_port": 8001, "experiments_store": str(tmp_path / "store")}
    command = [sys.executable, "-c", CODE, json.dumps(settings)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.split() == []

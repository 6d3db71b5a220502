"""What forked workers share."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve import models

CODE = """
import sys
from serve.rest.server import make_config, make_limits
from serve.settings import Settings
from serve.shared.memory import create_limits, open_cores, open_limits
from serve.shared.worker_group import WorkerGroup
from serve.workers.fork import import_all
from serve.workers.server_process import open_server_process

settings = Settings(models=sys.argv[1], workers=1)
import_all()
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
def test_workers_import_nothing_that_they_could_share(tmp_path: Path) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.split() == []

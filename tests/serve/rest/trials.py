"""An application in which an experiment runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from serve.engine import Engine
from serve.experiments import stages
from serve.experiments.stages import Change
from serve.rejections import fault_number
from serve.rest.app import create_app
from serve.rollout.options import RolloutOptions
from serve.rollout.rollout import Rollout, open_rollout
from serve.settings import Settings
from tests.serve.in_process import Client
from tests.waiting import until

INFER = "/v2/models/digits/infer"
REQUEST: Any = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
DEFINITION = """experiments:
  - name: exp
    model: digits
    control: {name: control, version: 1}
    candidates: [{name: candidate, version: 2}]
    stages: {shadow_share: 0, steps: [50]}
    metrics: [{name: right, kind: binary, is_primary: true}]
    allow_list: {anna: candidate, bert: control}
"""


class Served:
    """An application, and the experiments in it."""

    def __init__(self, client: Client, rollout: Rollout) -> None:
        self.client = client
        self.rollout = rollout

    def ask(self, path: str = INFER, body: Any = REQUEST, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, body, names)

    def close(self) -> None:
        """Everything that was noted is written."""
        self.rollout.close()


@contextmanager
def serve(variants: Engine, folder: Path, definition: str = DEFINITION) -> Iterator[Served]:
    """With the experiment of the definition on the ramp."""
    file = folder / "experiments.yaml"
    file.write_text(definition)
    rollout = open_rollout(variants, RolloutOptions(str(folder), folder, file), fault_number)
    change = Change(1, "anne")
    rollout.registry.act("exp", "start", change, partial(stages.start, change=change))
    rollout.follower.hurry()
    until(lambda: rollout.trials.routes)
    yield Served(Client(create_app(variants, Settings(models=folder), rollout=rollout)), rollout)
    rollout.close()


def values(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    found: list[float] = answer.json()["outputs"][0]["data"]
    return found

import json
from typing import Any

import pytest

pytest.importorskip("ray")

from serve.cluster import command, keeping


def test_an_update_counts_the_new_replicas_and_not_those_that_end_still(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hand_over(desk: object, verb: str) -> dict[str, Any]:
        return {"replicas": [{"serves": True}, {"serves": True}, {"serves": False}]}

    monkeypatch.setattr(command, "connect", lambda address: None)
    monkeypatch.setattr(keeping, "find_desk", lambda: None)
    monkeypatch.setattr(keeping, "hand_over", hand_over)
    command.update(as_json=True)
    assert json.loads(capsys.readouterr().out) == {"replaced": 2}

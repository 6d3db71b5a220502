import json

import pytest

from serve.workers.__main__ import _announce
from serve.workers.options import Announcement, SupervisorOptions


def announce(announcement: Announcement, grpc_port: int = 0) -> None:
    options = SupervisorOptions(
        settings="{}",
        workers=[],
        limits=0,
        connections=1,
        stop_grace_seconds=1,
        stop_linger_seconds=0.0,
        log_level="info",
        url="http://127.0.0.1:8000",
        manner="cpu with 1 worker",
        grpc_port=grpc_port,
        announcement=announcement,
    )
    _announce(options, "m (1)")


def test_a_line_says_where_and_what_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    announce("line", 8001)
    assert capsys.readouterr().out == (
        "adaptact-serve: http://127.0.0.1:8000 and gRPC on port 8001 serves m (1) on cpu with 1 worker\n"
    )


def test_programs_are_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    announce("json")
    assert json.loads(capsys.readouterr().out) == {
        "url": "http://127.0.0.1:8000",
        "grpc_port": None,
        "serves": "m (1)",
        "on": "cpu with 1 worker",
    }


def test_a_quiet_server_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    announce("nothing")
    assert capsys.readouterr() == ("", "")

"""Runs on the cores that other processes leave idle."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, start_requests
from tests.waiting import until


class FakeCores:
    """So many cores, of which other processes use some."""

    def __init__(self, cores: int, others: int = 0) -> None:
        self.cores = cores
        self.others = others
        self.published: list[int] = []

    def publish(self, running: int) -> None:
        self.published.append(running)

    def has_free(self) -> bool:
        return self.others + (self.published[-1] if self.published else 0) < self.cores


def count_runs(
    tmp_path: Path, opened: Opened, patch: pytest.MonkeyPatch, cores: FakeCores | None, least: int
) -> int:
    """How many of six requests run at once, which should be at least so many."""
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, cores=cores)
    gate = Gate(engine.model("double"), patch, joins=False)

    async def ask() -> int:
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(until, lambda: len(gate.rows) == 1)  # in the process's own place
        tasks += start_requests(engine, "double", *[ROW] * 5)
        await asyncio.to_thread(until, lambda: len(gate.rows) >= least)
        await asyncio.sleep(0.05)
        at_once = len(gate.rows)
        gate.open()
        answers: list[Any] = await collect(tasks)
        assert all(answer["y"].tolist() == (2 * ROW).tolist() for answer in answers)
        return at_once

    at_once = asyncio.run(ask())
    if cores is not None:
        until(lambda: cores.published[-1] == 0)
    return at_once


def test_a_process_runs_as_many_as_there_are_idle_cores(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_runs(tmp_path, opened, monkeypatch, FakeCores(4), 4) == 4


def test_cores_that_others_use_are_not_borrowed(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_runs(tmp_path, opened, monkeypatch, FakeCores(4, others=2), 2) == 2
    assert count_runs(tmp_path, opened, monkeypatch, FakeCores(4, others=9), 1) == 1


def test_a_thread_keeps_its_core_from_one_run_to_the_next(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = FakeCores(1)
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, cores=cores)
    gate = Gate(engine.model("double"), monkeypatch, joins=False)

    async def ask() -> None:
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)  # else another thread might borrow the core meanwhile
        tasks += start_requests(engine, "double", *[ROW] * 4)
        await asyncio.to_thread(until, lambda: engine.count_pending() == 5)
        gate.open()
        await collect(tasks)

    asyncio.run(ask())
    until(lambda: cores.published[-1] == 0)
    runs = "".join(map(str, cores.published)).strip("0")
    assert "0" not in runs


def test_a_process_that_knows_of_no_others_borrows_nothing(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_runs(tmp_path, opened, monkeypatch, None, 1) == 1

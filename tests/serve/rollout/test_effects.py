"""What models do to experiments that run, and promotions to models: on an engine whose models change."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.experiments.errors import UnfitVariantsError
from serve.experiments.routing import Route
from serve.experiments.stages import Act, Change
from serve.experiments.store.database import Store, now, open_store
from serve.experiments.store.registry import Registry
from serve.experiments.store.summaries import Summaries
from serve.rejections import fault_number
from serve.rollout.administration import Administration
from serve.rollout.conductor import REST_SECONDS, SELF, Conductor
from serve.rollout.effects import Effects
from serve.rollout.options import RolloutOptions
from serve.rollout.pinning import find_change
from serve.rollout.rollout import open_rollout
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.experiments.definitions import make_document
from tests.serve.rollout.variants import PICKY, TRIPLE

DOCUMENT = make_document(
    control={"name": "control", "version": "1"},
    candidates=[{"name": "candidate", "version": "canary"}],
    stages={"shadow_share": 0},
    allow_list={"anna": "candidate", "bert": "control"},
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version, text in (("1", models.DOUBLE), ("2", TRIPLE), ("3", PICKY)):
        models.put(tmp_path / "models", "digits", models.model(text), version)
    return tmp_path


def open_models(folder: Path) -> Engine:
    made = options(folder / "models", state_folder=folder / "state", digests=True)
    return open_engine(made, Metrics(CollectorRegistry()))


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    opened = open_models(folder)
    opened.point_alias("digits", "stable", "1")
    opened.point_alias("digits", "canary", "2")
    yield opened
    opened.close()


class Server:
    """What one process makes of the experiments in the store."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine = engine
        self.registry = Registry(store)
        self.routes: Mapping[str, Route] = {}
        self.follows = 0
        self.later = 0.0
        self.effects = Effects(engine, self._follow)
        self.administration = Administration(engine, self.registry, Summaries(store), self.follow)
        find = partial(find_change, engine)
        summaries, clock = Summaries(store), lambda: now() + int(self.later * 1e6)
        self.conductor = Conductor(self.registry, summaries, find_change=find, seconds=3600, clock=clock)

    def define(self, **fields: Any) -> None:
        self.administration.define("exp", {**DOCUMENT, **fields}, "anne")

    def act(self, *acts: Act) -> None:
        for act in acts:
            self.administration.act("exp", act, "anne")

    def follow(self) -> None:
        self.effects.follow(self.registry.read_all())

    def answers(self, unit: str) -> str | None:
        """The version that answers the unit; None where there is no experiment."""
        route = self.routes.get("digits")
        decision = route.decide(unit, None, "r") if route else None
        return None if decision is None else decision.treatment.answer.version

    def look(self, seconds: float = 0.0) -> None:
        """The conductor looks so many seconds later."""
        self.later += seconds
        self.conductor.look()

    def _follow(self, routes: Mapping[str, Route]) -> None:
        self.follows += 1
        self.routes = routes


@pytest.fixture
def server(engine: Engine, store: Store) -> Iterator[Server]:
    opened = Server(engine, store)
    yield opened
    opened.conductor.close()


def test_an_alias_that_moves_changes_nothing_of_what_runs(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.define()
    server.act("start")
    follows = server.follows
    server.engine.point_alias("digits", "canary", "3")
    for _ in range(3):
        server.effects.check()
    assert (server.answers("anna"), server.answers("bert"), server.follows) == ("2", "1", follows)
    assert caplog.text.count("`candidate` means version `3` of `digits` by now") == 1
    asyncio.run(server.engine.remove_alias("digits", "canary"))
    server.effects.check()
    assert server.answers("anna") == "2"
    # Another comparison begins with what the alias means then.
    server.engine.point_alias("digits", "canary", "3")
    server.act("stop", "start")
    assert server.answers("anna") == "3"


def test_versions_are_pinned_once_for_each_comparison(server: Server) -> None:
    server.define()
    assert server.registry.read("exp").phase.pins == {}
    server.act("start", "pause", "resume", "advance")
    phases = server.registry.read_phases("exp")
    assert {name: pin[:2] for name, pin in phases[1].pins.items()} == {
        "control": ("digits", "1"),
        "candidate": ("digits", "2"),
    }
    assert {len(pin.digest) for pin in phases[1].pins.values()} == {64}
    assert all(phase.pins == phases[1].pins for phase in phases[1:])
    server.define(price_per_cpu_hour=1.0)
    assert server.registry.read("exp").phase.pins == phases[1].pins
    server.engine.point_alias("digits", "canary", "3")
    server.define(planned_units=400)
    assert server.registry.read("exp").phase.pins["candidate"].version == "3"


def test_a_control_that_does_not_answer_by_default_is_refused_with_what_to_do(server: Server) -> None:
    server.define()
    server.engine.point_alias("digits", "stable", "2")
    with pytest.raises(UnfitVariantsError, match=r'aliases/stable \{"version": "1"\}'):
        server.act("start")
    assert server.registry.read("exp").phase.stage == "draft"
    server.engine.point_alias("digits", "stable", "1")
    server.act("start")
    models.put(server.engine._options.folder, "twin", models.model(TRIPLE))
    asyncio.run(server.engine.load("twin"))
    with pytest.raises(UnfitVariantsError, match="let a version of `digits` be the control"):
        server.define(control={"name": "control", "model": "twin"})
    assert server.registry.read("exp").phase.comparison == 1


def unload(server: Server) -> None:
    asyncio.run(server.engine.unload("digits"))


def move_default(server: Server) -> None:
    server.engine.point_alias("digits", "stable", "2")


def replace_file(server: Server) -> None:
    models.put(server.engine._options.folder, "digits", models.model(models.DOUBLE), "2")
    asyncio.run(server.engine.load("digits"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (unload, "`control` is version `1` of `digits`, which does not answer now"),
        (move_default, "whoever names no version is answered by version `2`"),
        (replace_file, "`candidate` is version `2` of `digits`, whose file is another one now"),
    ],
)
def test_models_that_change_pause_what_runs_and_the_audit_trail_says_why(
    server: Server, change: Any, why: str
) -> None:
    server.define()
    server.act("start")
    change(server)
    server.effects.check()
    assert server.answers("anna") is None
    server.look()
    server.look(REST_SECONDS)
    newest = server.registry.read_audit("exp")[0]
    assert (newest.by, newest.action) == (SELF, "pause")
    assert why in newest.detail
    with pytest.raises(UnfitVariantsError, match=why):
        server.act("resume")


def test_the_same_file_loaded_again_changes_nothing(server: Server) -> None:
    server.define()
    server.act("start")
    asyncio.run(server.engine.unload("digits"))
    asyncio.run(server.engine.load("digits"))
    server.effects.check()
    assert server.answers("anna") == "2"


def test_a_candidate_that_cannot_answer_is_not_promoted(server: Server) -> None:
    server.define()
    server.act("start")
    unload(server)
    with pytest.raises(UnfitVariantsError, match="cannot promote: `candidate`"):
        server.act("promote")
    assert server.registry.read("exp").phase.stage == "ramp"


def test_a_server_that_was_down_catches_up_with_a_promotion(
    server: Server, store: Store, folder: Path
) -> None:
    server.define()
    server.act("start", "promote")
    assert server.engine.model("digits").version == "2"
    # As a server is that knows nothing of it, also while its model is missing at first.
    other = folder / "other"
    models.put(other / "models", "digits", models.model(models.DOUBLE), "1")
    engine = open_models(other)
    late = Server(engine, store)
    late.follow()
    assert engine.model("digits").version == "1"
    models.put(other / "models", "digits", models.model(TRIPLE), "2")
    models.put(other / "models", "digits", models.model(PICKY), "3")
    asyncio.run(engine.load("digits"))
    late.effects.check()
    assert engine.model("digits").version == "2"
    late.conductor.close()
    engine.close()


def test_what_somebody_decided_after_a_promotion_stays(server: Server, store: Store, folder: Path) -> None:
    server.define()
    server.act("start", "promote")
    for act in (
        partial(server.engine.set_alias, "digits", "stable", "1"),
        partial(server.engine.remove_alias, "digits", "stable"),
    ):
        asyncio.run(act())
        engine = open_models(folder)  # after a restart
        before = engine.model("digits").version
        restarted = Server(engine, store)
        restarted.follow()
        assert engine.model("digits").version == before != "2"
        restarted.conductor.close()
        engine.close()


def test_a_promotion_that_was_stored_alone_is_made_after_a_restart(
    server: Server, store: Store, folder: Path
) -> None:
    server.define()
    server.act("start")
    running = server.registry.read("exp").phase
    promoted = replace(running, number=9, stage="promoted", promoted="candidate", started_at=now())
    server.registry.act("exp", "promote", Change(now(), "anne"), lambda experiment, phase: promoted)
    server.engine.close()
    engine = open_models(folder)
    assert engine.model("digits").version == "1"
    restarted = Server(engine, store)
    restarted.follow()
    assert engine.model("digits").version == "2"
    restarted.conductor.close()
    engine.close()


def test_a_start_lets_the_control_answer_where_nobody_has_decided(store: Store, folder: Path) -> None:
    engine = open_models(folder)
    server = Server(engine, store)
    three = {"control": {"name": "control", "version": "3"}, "candidates": [{"name": "new", "version": "2"}]}
    server.define(**three, allow_list={"anna": "new"})
    server.act("start")
    engine.close()
    # Another version comes, while the server has lost its aliases.
    models.put(folder / "models", "digits", models.model(TRIPLE), "4")
    (folder / "state" / "aliases.json").unlink()
    engine = open_models(folder)
    assert engine.model("digits").version == "4"
    restarted = Server(engine, store)
    restarted.follow()
    assert (engine.model("digits").version, restarted.answers("anna")) == ("3", "2")
    for each in (server, restarted):
        each.conductor.close()
    engine.close()


def test_a_file_that_amends_what_runs_is_read_after_a_restart_without_state(folder: Path) -> None:
    text = """experiments:
  - name: exp
    model: digits
    control: {name: control, version: 1}
    candidates: [{name: candidate, version: %d}]
"""
    file = folder / "experiments.yaml"
    for version in (2, 3):
        file.write_text(text % version)
        engine = open_engine(options(folder / "models"), Metrics(CollectorRegistry()))
        if version == 2:
            engine.point_alias("digits", "stable", "1")
        rollout = open_rollout(engine, RolloutOptions(str(folder), folder, file), fault_number)
        if version == 2:
            rollout.administration.act("exp", "start", "anne")
        assert rollout.registry.read("exp").phase.stage == "shadow"
        assert rollout.registry.read("exp").phase.pins["candidate"].version == str(version)
        assert engine.model("digits").version == "1"
        rollout.close()
        engine.close()

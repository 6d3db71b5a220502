"""What the registered experiments mean to this process: who takes part, and which version was promoted."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from serve.engine.engine import Engine
from serve.engine.errors import quote
from serve.experiments.routing import Route, make_routes
from serve.experiments.stages import RUNNING
from serve.experiments.store.registry import Registered
from serve.rollout.pinning import find_change, find_moved
from serve.rollout.promotion import follow_decisions

log = logging.getLogger("adaptact")


class Effects:
    """Keeps the process as the experiments and its models want it; used by one thread."""

    def __init__(self, engine: Engine, follow: Callable[[Mapping[str, Route]], None]) -> None:
        """`follow` is called with the routes of the experiments that run here, whenever they are others."""
        self._engine = engine
        self._follow = follow
        self._registered: Sequence[Registered] = ()
        self._running: list[Registered] | None = None
        self._reported: dict[str, str] = {}
        self._moved: set[str] = set()

    def follow(self, registered: Sequence[Registered]) -> None:
        """From now on these are the experiments."""
        self._registered = registered
        self.check()

    def check(self) -> None:
        """Leave out what models do not allow to run any more; follow decisions that could not be before."""
        reported = follow_decisions(self._engine, self._registered)
        running = list(self._list_running(reported))
        for name, problem in reported.items():
            if self._reported.get(name) != problem:
                log.error("experiment %s: %s", quote(name), problem)
        self._reported = reported
        if running != self._running:
            self._running = running
            self._follow(make_routes((known.experiment, known.phase) for known in running))

    def _list_running(self, reported: dict[str, str]) -> Iterator[Registered]:
        for known in self._registered:
            if known.phase.stage not in RUNNING:
                continue
            change = find_change(self._engine, known.experiment, known.phase)
            if change is not None:
                reported[known.experiment.name] = f"requests are answered as without it: {change}"
                continue
            for moved in find_moved(self._engine, known.experiment, known.phase):
                if moved not in self._moved:
                    self._moved.add(moved)
                    log.warning("experiment %s: %s", quote(known.experiment.name), moved)
            yield known

"""The loop of `adaptact serve --cluster`: the controller, and the requests of other commands."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from time import monotonic, sleep, time
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from adaptact.text import first_line
from serve.cluster.connection import NAMESPACE, own_address
from serve.cluster.controller import Controller
from serve.cluster.desk import NAME, Desk, Request
from serve.cluster.errors import ClusterError, ControllerRunsError, NoControllerError
from serve.cluster.orders import find_folder, make_order, read_settings, write_settings
from serve.cluster.placer import Placer, RayPlacer
from serve.cluster.proxy import HaProxy
from serve.settings import Settings

log = logging.getLogger("adaptact")

TICK_SECONDS = 0.5
ASK_SECONDS = 30.0
OPEN_SECONDS = 60.0
SILENT = "the command that keeps this cluster does not answer"
LOST = "this command has lost the cluster, whose replicas go on"


def open_desk() -> Any:
    """The desk of this command, which controls the cluster now; raises `ClusterError`, its
    `ControllerRunsError` where another command does."""
    node = ray.get_runtime_context().get_node_id()
    actor: Any = ray.remote(Desk)
    try:
        desk = actor.options(
            name=NAME,
            namespace=NAMESPACE,
            num_cpus=0,
            # Where this command is: no other machine can take it from us.
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(f"{socket.gethostname()}, process {os.getpid()}")
    except ValueError as error:
        raise ControllerRunsError("another command keeps this cluster") from error
    try:
        ray.get(desk.read.remote(), timeout=OPEN_SECONDS)
    except RayError as error:
        raise ClusterError(f"Ray starts nothing on this machine: {first_line(error)}") from error
    return desk


def find_desk() -> Any:
    """The desk of the command that controls the cluster; raises `NoControllerError`."""
    try:
        return ray.get_actor(NAME, NAMESPACE)
    except ValueError as error:
        raise NoControllerError(
            "no `adaptact serve --cluster` keeps this cluster; what it started answers all the same"
        ) from error


def read_status(desk: Any) -> dict[str, Any]:
    """The cluster's state; raises `NoControllerError`."""
    try:
        status, _ = ray.get(desk.read.remote(), timeout=ASK_SECONDS)
    except RayError as error:
        raise NoControllerError(SILENT) from error
    return dict(status)


def hand_over(desk: Any, verb: str, content: Any = None) -> dict[str, Any]:
    """The cluster's state once the controller has done this; of `stop`, with which it ends, the last one.

    Raises `ClusterError` where it gave it up, or does not answer.
    """
    status: dict[str, Any] = {}
    try:
        number = ray.get(desk.ask.remote(verb, content), timeout=ASK_SECONDS)
        while True:
            status, outcome = ray.get(desk.read.remote(number), timeout=ASK_SECONDS)
            if outcome is not None:
                break
            sleep(TICK_SECONDS)
    except RayActorError as error:
        if verb == "stop":
            return dict(status)
        raise NoControllerError("the command that keeps this cluster has ended meanwhile") from error
    except RayError as error:
        raise ClusterError(f"{SILENT}: {first_line(error)}") from error
    if outcome:
        raise ClusterError(outcome)
    return dict(status)


def end_all(placer: Placer, seconds: float) -> int:
    """The number of replicas, which have finished their requests and ended, or were killed after that."""
    names = list(placer.look())
    for name in names:
        placer.stop(name)
    deadline = monotonic() + seconds
    while monotonic() < deadline and any(
        look.state not in ("ended", "lost") for look in placer.look().values()
    ):
        sleep(TICK_SECONDS)
    for name in names:
        placer.remove(name)
    return len(names)


class Keeper:
    """One command's controller of a cluster."""

    def __init__(self, settings: Settings, desk: Any) -> None:
        """Take over what there is, or start it; raises `ClusterError`."""
        self._settings = self._proved = settings
        """What is wanted, and what was wanted before the update that is going on."""
        self._desk = desk
        self._own_address = own_address()
        order = make_order(settings, self._own_address)
        self._proxy = HaProxy(find_folder(settings), order.proxy)
        self._placer = RayPlacer()
        self._controller = Controller(self._placer, self._proxy, order, monotonic())
        self._outcomes: dict[int, str] = {}
        self._update: int | None = None

    def run(self, stopping: threading.Event, on_ready: Callable[[dict[str, Any]], None]) -> None:
        """Keep the cluster until `stopping` is set, and leave it as it is; or until it is told to end all.

        `on_ready` is called once all replicas serve, or, where new settings had to be given up, those of
        before. Raises `ClusterError` where none ever did, and where
        this command lost control of the cluster.
        """
        is_told = False
        while not stopping.is_set():
            began = monotonic()
            self._tick(began)
            outcome = self._controller.outcome
            if outcome is not None and self._update is not None:
                self._outcomes[self._update], self._update = outcome, None
                if outcome:
                    self._settings = self._proved
                self._proved = self._settings
            if outcome is not None and not is_told:
                on_ready(self._controller.status)
                is_told = True
            for request in self._exchange():
                if request.verb == "stop":
                    self._end()
                    return
                self._begin(request)
            stopping.wait(max(0.0, TICK_SECONDS - (monotonic() - began)))

    def _tick(self, now: float) -> None:
        try:
            self._controller.tick(now)
        except RayError as error:
            raise ClusterError(f"{LOST}: {first_line(error)}") from error
        except ClusterError:
            if not self._controller.has_served:
                self._end()  # there is nothing to go on with
            raise

    def _exchange(self) -> list[Request]:
        outcomes, self._outcomes = self._outcomes, {}
        try:
            requests: list[Request] = ray.get(
                self._desk.exchange.remote(self._controller.status, outcomes), timeout=ASK_SECONDS
            )
        except RayError as error:
            # Another command may have the cluster by now: two must not act.
            raise ClusterError(f"{LOST}: {first_line(error)}") from error
        return requests

    def _begin(self, request: Request) -> None:
        """An update, with the settings of the command that asks or with those of before."""
        if self._update is not None:
            self._outcomes[request.number] = "another update is going on; try again once it has ended"
            return
        text, generation = request.content, "" if request.content else f"update of {time():.0f}"
        try:
            settings = read_settings(text) if text else self._settings
            if find_folder(settings) != find_folder(self._settings):
                raise ClusterError(
                    "`--state` is another folder than that of the command that keeps the cluster"
                )
            order = make_order(settings, self._own_address, generation)
            self._controller.change(order, monotonic())
        except ClusterError as error:
            self._outcomes[request.number] = str(error)
            return
        log.info("an update is asked for")
        self._settings, self._update = settings, request.number

    def _end(self) -> None:
        self._proxy.stop()
        count = end_all(self._placer, self._controller.order.stop_seconds)
        log.info("%d replicas have ended, and the proxy", count)


def hand_over_settings(settings: Settings) -> dict[str, Any]:
    """The cluster's state once its replicas are of these settings; raises `ClusterError`."""
    return hand_over(find_desk(), "update", write_settings(settings))

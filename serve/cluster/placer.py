"""Where replicas run: what the controller asks of Ray, and Ray's answer to it."""

import secrets
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from adaptact import __version__
from adaptact.text import first_line
from serve.cluster.connection import NAMESPACE, list_nodes, own_address
from serve.cluster.errors import ClusterError
from serve.cluster.replica import Replica, ReplicaLook
from serve.cluster.spec import ReplicaSpec

NAME = "replica-"
NODE = "ray.io/node-id"
"""Ray's label of a node."""
WAIT_SECONDS = 0.3
"""So long one look at all replicas takes at most."""
SILENT_SECONDS = 15.0
"""An actor that has not answered for so long is lost: its node is, or the way to it."""
KILL_SECONDS = 1.0


class Placer(Protocol):
    """What places replicas on nodes."""

    def start(self, spec: ReplicaSpec, avoid: Collection[str]) -> str:
        """The name of a new replica: where fewest are, else anywhere, and last where to avoid."""

    def look(self) -> dict[str, ReplicaLook]:
        """What each replica that there is says of itself, by name."""

    def read_spec(self, name: str) -> ReplicaSpec | None:
        """What it was made from; None if it does not answer."""

    def stop(self, name: str) -> None:
        """It says that it is not ready, finishes its requests, and ends."""

    def remove(self, name: str) -> None:
        """It is gone, at once."""


class RayReplica(Replica):
    """A replica in an actor."""

    def __init__(self, spec: ReplicaSpec) -> None:
        """Start the server on this node's address; raises `ClusterError` for one of another version."""
        if spec.version != __version__:
            raise ClusterError(
                f"the node has adaptact {__version__}, and the replica is to be of {spec.version}; "
                "install the same version on every node"
            )
        super().__init__(spec, own_address(), ray.get_runtime_context().get_node_id())


@dataclass(slots=True)
class _Actor:
    handle: Any
    digest: str
    meant: str = ""
    """The node that it was meant for."""
    asked: Any = None
    """The answer to the look under way."""
    since: float = 0.0
    last: ReplicaLook | None = None


class RayPlacer:
    """Replicas as detached actors: they outlive the command, and the next one finds them by their names."""

    def __init__(self) -> None:
        """Find the replicas of this cluster, to which this process is connected."""
        names = [name for name in ray.util.list_named_actors() if name.startswith(NAME)]
        self._actors: dict[str, _Actor] = {}
        for name in names:
            with suppress(ValueError):  # it has ended since
                self._actors[name] = _Actor(ray.get_actor(name, NAMESPACE), "")
        # Whoever takes over must know all that serve before anything is decided.
        self._ask(SILENT_SECONDS)

    def start(self, spec: ReplicaSpec, avoid: Collection[str]) -> str:
        """As of `Placer`."""
        name = f"{NAME}{secrets.token_hex(4)}"
        emptiest = self._find_emptiest(spec, avoid)
        choices = [{NODE: emptiest}] if emptiest else []
        choices += [{NODE: f"!in({','.join(sorted(avoid))})"}] if avoid else []
        choices.append({})
        actor: Any = ray.remote(RayReplica)
        handle = actor.options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=0,  # the controller replaces it, elsewhere if need be
            num_cpus=spec.cpus,
            num_gpus=spec.gpus,
            label_selector=choices[0],
            fallback_strategy=[{"label_selector": choice} for choice in choices[1:]],
        ).remote(spec)
        self._actors[name] = _Actor(handle, spec.digest, emptiest)
        return name

    def _find_emptiest(self, spec: ReplicaSpec, avoid: Collection[str]) -> str:
        """The node with the fewest replicas, of those that are large enough; empty for none."""
        counts = Counter(actor.last.node if actor.last else actor.meant for actor in self._actors.values())
        known = {node["NodeID"]: node["Resources"] for node in list_nodes()}
        fit = [
            node
            for node, has in known.items()
            if has.get("CPU", 0) >= spec.cpus and has.get("GPU", 0) >= spec.gpus and node not in avoid
        ]
        return min(fit, key=lambda node: counts[node], default="")

    def look(self) -> dict[str, ReplicaLook]:
        """As of `Placer`."""
        self._ask(WAIT_SECONDS)
        return {name: self._read(actor) for name, actor in self._actors.items()}

    def _ask(self, seconds: float) -> None:
        """Each replica has been asked, and all have answered unless that takes longer."""
        now = monotonic()
        for actor in self._actors.values():
            if actor.asked is None:
                actor.asked, actor.since = actor.handle.look.remote(), now
        asked = [actor.asked for actor in self._actors.values()]
        if asked:
            ray.wait(asked, num_returns=len(asked), timeout=seconds, fetch_local=False)

    def read_spec(self, name: str) -> ReplicaSpec | None:
        """As of `Placer`."""
        try:
            spec: ReplicaSpec = ray.get(self._actors[name].handle.read_spec.remote(), timeout=SILENT_SECONDS)
        except RayError:
            return None
        return spec

    def stop(self, name: str) -> None:
        """As of `Placer`."""
        self._actors[name].handle.stop.remote()

    def remove(self, name: str) -> None:
        """As of `Placer`."""
        actor = self._actors.pop(name)
        if actor.last is not None:
            ray.wait([actor.handle.kill.remote()], timeout=KILL_SECONDS)
        ray.kill(actor.handle)

    @staticmethod
    def _read(actor: _Actor) -> ReplicaLook:
        known = actor.last or ReplicaLook(actor.digest, "placing", "")
        try:
            actor.last = ray.get(actor.asked, timeout=0)
        except (GetTimeoutError, ActorUnavailableError) as error:
            if isinstance(error, ActorUnavailableError):
                actor.asked = actor.handle.look.remote()
            if actor.last is not None and monotonic() > actor.since + SILENT_SECONDS:
                return _lose(known, f"has not answered for {SILENT_SECONDS:g} s")
            return known
        except RayActorError as error:
            return _lose(known, f"its actor is gone: {explain_loss(error)}")
        actor.asked = None
        return actor.last


def explain_loss(error: RayActorError) -> str:
    """One line: of an actor that did not start the error itself, with which Ray's text ends."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if "creation task" in lines[0] else first_line(error)


def _lose(known: ReplicaLook, reason: str) -> ReplicaLook:
    return ReplicaLook(known.digest, "lost", known.node, known.pid, known.address, known.is_stopping, reason)

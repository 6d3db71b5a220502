"""What to do next, so that the replicas become those that are wanted: a pure function of what is seen.

An update is no state of its own: replicas of another specification than the wanted one are replaced, a new
one before each old one. To go back is to want the old specification again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["placing", "starting", "ready", "ended", "lost"]
"""Placing: Ray looks for room. Lost: its process, its node or the way to it is gone."""

DOWN_SECONDS = 15.0
"""A replica that is ready and does not answer the proxy for so long is replaced."""


@dataclass(frozen=True, slots=True)
class SeenReplica:
    """One replica at this moment."""

    name: str
    digest: str
    """Of the specification it was made from."""
    state: State
    node: str = ""
    is_up: bool = False
    """Whether it answers the proxy, which sends it requests."""
    age: float = 0.0
    """Seconds since it was asked for."""
    was_up: bool = False
    down: float = 0.0
    """Seconds for which it has been ready, and not up."""
    leaving: float | None = None
    """Seconds since it was told to stop; None if it was not."""
    reason: str = ""
    """Why it ended, or what is lost."""

    @property
    def is_unproved(self) -> bool:
        """Whether it has never answered the proxy, and nobody has told it to stop."""
        return not self.was_up and self.leaving is None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there should be."""

    count: int
    digest: str
    may_start: bool = True
    """Not while a pause after failures lasts."""
    ready_seconds: float = 600.0
    """So long a replica may take until it is ready."""
    stop_seconds: float = 45.0
    """So long one that was told to stop may take."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do now."""

    start: int = 0
    """So many replicas of the wanted specification."""
    stop: list[str] = field(default_factory=list)
    """These get no further request, finish what they have, and end."""
    remove: dict[str, str] = field(default_factory=dict)
    """These are gone or of no use, by name why; what is left of them is killed."""
    failed: str | None = None
    """Why a replica of the wanted specification has never served; None where none has failed."""


def plan_steps(seen: Sequence[SeenReplica], wanted: Wanted) -> Steps:
    """The next steps. They are safe to take again: what was begun is seen in the next call."""
    removed = {replica.name: why for replica in seen if (why := _find_removal(replica, wanted)) is not None}
    removed.update(_find_silent(seen, removed))
    failed = [
        removed[replica.name]
        for replica in seen
        if replica.name in removed and replica.digest == wanted.digest and replica.is_unproved
    ]
    staying = [replica for replica in seen if replica.leaving is None and replica.name not in removed]
    old = [replica for replica in staying if replica.digest != wanted.digest]
    new = [replica for replica in staying if replica.digest == wanted.digest]
    if any(replica.leaving is not None for replica in seen if replica.name not in removed) and old:
        start, stop = 0, list[str]()  # one after the other
    else:
        start, stop = _replace(old, new, wanted) if old else _count(new, wanted)
    return Steps(start if wanted.may_start else 0, stop, removed, failed[0] if failed else None)


def _find_removal(replica: SeenReplica, wanted: Wanted) -> str | None:
    if replica.state in ("ended", "lost"):
        return replica.reason or replica.state
    if replica.leaving is not None:
        return "did not stop in time" if replica.leaving > wanted.stop_seconds else None
    if replica.state != "ready" and replica.age > wanted.ready_seconds:
        missing = "no node has room for it" if replica.state == "placing" else "it is still starting"
        return f"was not ready within {wanted.ready_seconds:g} s: {missing}"
    return None


def _find_silent(seen: Sequence[SeenReplica], removed: dict[str, str]) -> dict[str, str]:
    """One that the proxy does not reach, if it reaches another: else the proxy, or a model, is the reason."""
    ready = [one for one in seen if one.state == "ready" and one.leaving is None and one.name not in removed]
    silent = [one for one in ready if one.down > DOWN_SECONDS]
    if not silent or not any(one.is_up for one in ready):
        return {}
    longest = max(silent, key=lambda one: one.down)
    return {longest.name: f"has not answered the proxy for {longest.down:.0f} s"}


def _replace(old: Sequence[SeenReplica], new: Sequence[SeenReplica], wanted: Wanted) -> tuple[int, list[str]]:
    """One new replica, and when it serves one old one less: never fewer than are wanted."""
    unready = [replica.name for replica in old if replica.state != "ready"]
    if unready:
        return 0, unready  # none that would ever be needed
    if sum(replica.is_up for replica in (*old, *new)) > wanted.count:
        return 0, [min(old, key=lambda one: one.is_up).name]
    return (1 if all(replica.is_up for replica in new) else 0), []


def _count(new: Sequence[SeenReplica], wanted: Wanted) -> tuple[int, list[str]]:
    """As many as are wanted; the ones too many are those that serve least, where most are."""
    surplus = len(new) - wanted.count
    if surplus <= 0:
        return -surplus, []
    on_node = Counter(replica.node for replica in new)
    order = {"placing": 0, "starting": 1, "ready": 2}
    worst = sorted(new, key=lambda one: (one.is_up, order[one.state], -on_node[one.node], one.age))
    return 0, [replica.name for replica in worst[:surplus]]

"""What the controller remembers of a replica between two looks at it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve.cluster.plan import DOWN_SECONDS, SeenReplica
from serve.cluster.proxy_text import Address, SlotState
from serve.cluster.replica import ReplicaLook

log = logging.getLogger("adaptact")


@dataclass(slots=True)
class ReplicaRecord:
    """Since when a replica is as it is; times as those of the controller."""

    asked: float
    slot: str | None = None
    address: Address | None = None
    was_up: bool = False
    down_since: float | None = None
    is_told: bool = False
    """Whether the operator knows that it is down."""
    leaving_since: float | None = None

    def is_up(self, states: Mapping[str, SlotState]) -> bool:
        """Whether it answers the proxy, whose slots have these states."""
        state = None if self.slot is None else states.get(self.slot)
        return state is not None and state.is_up

    def note(self, name: str, states: Mapping[str, SlotState], now: float) -> None:
        """Remember since when the replica of that name, which is ready, answers the proxy or does not."""
        if not states or self.is_up(states):
            self.was_up, self.down_since, self.is_told = self.was_up or bool(states), None, False
            return
        self.down_since = self.down_since or now
        if now - self.down_since > DOWN_SECONDS and not self.is_told:
            self.is_told = True
            state = states.get(self.slot or "")
            log.error(
                "%s on %s is ready, and does not answer HAProxy: %s",
                *(
                    name,
                    self.address.host if self.address else "no slot",
                    state.check if state else "not asked",
                ),
            )

    def see(self, name: str, look: ReplicaLook, states: Mapping[str, SlotState], now: float) -> SeenReplica:
        """The replica of that name, of which this is remembered, as it is now."""
        return SeenReplica(
            name=name,
            digest=look.digest,
            state=look.state,
            node=look.node,
            is_up=look.state == "ready" and self.is_up(states),
            age=now - self.asked,
            was_up=self.was_up,
            down=0.0 if self.down_since is None else now - self.down_since,
            leaving=None if self.leaving_since is None else now - self.leaving_since,
            reason=look.reason,
        )

    def describe(self, one: SeenReplica, states: Mapping[str, SlotState]) -> dict[str, Any]:
        """The replica that was seen, for people and programs."""
        state = states.get(self.slot or "")
        return {
            "name": one.name,
            "node": one.node,
            "state": "stopping" if one.leaving is not None else one.state,
            "serves": one.is_up and one.leaving is None,
            "host": self.address.host if self.address else None,
            "port": self.address.port if self.address else None,
            "grpc_port": self.address.grpc_port or None if self.address else None,
            "in_flight": state.in_flight if state else 0,
        }

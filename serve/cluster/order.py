"""What is wanted of a cluster, and what distributes its requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from serve.cluster.proxy_text import ProxyOptions, Slots, SlotState
from serve.cluster.scaling import ScalingOptions
from serve.cluster.spec import ReplicaSpec


class Proxy(Protocol):
    """What distributes the requests: as `HaProxy`."""

    options: ProxyOptions

    def open(self, slots: Slots) -> None:
        """It runs, with these replicas."""

    def keep(self, slots: Slots) -> None:
        """It has these replicas when it is started again."""

    def send(self, commands: list[str]) -> None:
        """The commands are done."""

    def read(self) -> Mapping[str, SlotState]:
        """The state of every slot; raises `OSError` where it does not run."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    spec: ReplicaSpec
    scaling: ScalingOptions
    proxy: ProxyOptions
    ready_seconds: float
    stop_seconds: float

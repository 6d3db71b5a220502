"""A controller over a placer and a proxy that do as they are told, with a clock of numbers."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from serve.cluster.controller import Controller
from serve.cluster.errors import ClusterError
from serve.cluster.order import Order
from serve.cluster.proxy_text import Address, ProxyOptions, Slots, SlotState, slot_names
from serve.cluster.replica import ReplicaLook
from serve.cluster.scaling import ScalingOptions
from serve.cluster.spec import ReplicaSpec


class FakePlacer:
    """Replicas become ready one look after they were asked for, and end one look after they were told to."""

    def __init__(self) -> None:
        self.looks: dict[str, ReplicaLook] = {}
        self.specs: dict[str, ReplicaSpec] = {}
        self.broken: set[str] = set()
        self.is_full = False
        self.started: list[tuple[str, set[str]]] = []
        self._stopping: set[str] = set()

    def start(self, spec: ReplicaSpec, avoid: Collection[str]) -> str:
        name = f"r{len(self.started) + 1}"
        self.started.append((spec.digest, set(avoid)))
        self.specs[name] = spec
        self.looks[name] = ReplicaLook(spec.digest, "placing", "")
        return name

    def look(self) -> dict[str, ReplicaLook]:
        for name, look in self.looks.items():
            if look.state == "placing" and self.is_full:
                continue
            if look.state == "placing":
                self.looks[name] = replace(look, state="starting", node=f"node-{name}")
            elif look.state == "starting":
                number = int(name[1:])
                ready = replace(look, state="ready", address=Address("10.0.0.1", 30_000 + number))
                failed = replace(look, state="ended", reason="the model is broken")
                self.looks[name] = failed if look.digest in self.broken else ready
            elif name in self._stopping:
                self.looks[name] = replace(look, state="ended")
        return dict(self.looks)

    def read_spec(self, name: str) -> ReplicaSpec | None:
        return self.specs[name]

    def stop(self, name: str) -> None:
        self._stopping.add(name)

    def remove(self, name: str) -> None:
        del self.looks[name]


class FakeProxy:
    """HAProxy as far as its slots go: what is ready and not named silent is up."""

    def __init__(self, options: ProxyOptions) -> None:
        self.options = options
        self.states: dict[str, SlotState] = {}
        self.silent: set[str] = set()
        self.in_flight = 0
        self.opened = 0
        self.is_gone = self.is_slow = self.is_full = False
        self.log: list[str] = []

    def open(self, slots: Slots) -> None:
        self.opened += 1
        self.is_gone = False
        known = {slot: f"{one.host}:{one.port}" for slot, one in slots.items()}
        for slot in slot_names(self.options):
            address = known.get(slot, "127.0.0.1:1")
            self.states[slot] = SlotState("UP" if slot in known else "MAINT", 0, address)

    def keep(self, slots: Slots) -> None:
        if self.is_full:
            raise ClusterError("haproxy.cfg cannot be written: No space left on device")
        self.kept = dict(slots)

    def send(self, commands: list[str]) -> None:
        for command in commands:
            self.log.append(command)
            words = command.split()
            slot = words[-1].partition("/")[2] if words[0] == "shutdown" else words[2].partition("/")[2]
            if words[3] == "addr":
                self.states[slot] = SlotState("MAINT", 0, f"{words[4]}:{words[6]}")
            elif words[3] == "state":
                status = {"ready": "UP", "drain": "DRAIN", "maint": "MAINT"}[words[4]]
                self.states[slot] = replace(self.states[slot], status=status)

    def read(self) -> Mapping[str, SlotState]:
        if self.is_gone:
            raise ConnectionRefusedError("no socket")
        if self.is_slow:
            raise TimeoutError
        share = self.in_flight
        states = {}
        for slot, state in self.states.items():
            status = "DOWN" if state.address in self.silent and state.status == "UP" else state.status
            check = "L6RSP SSL handshake failure" if status == "DOWN" else "L7OK"
            states[slot] = replace(
                state, check=check, status=status, in_flight=share if status == "UP" else 0
            )
            share = 0 if status == "UP" else share
        return states


def make_order(name: str = "first", least: int = 2, most: int = 4) -> Order:
    spec = ReplicaSpec({"ADAPTACT_MODELS": name}, {}, 1, 0.0, has_grpc=False, models="m")
    scaling = ScalingOptions(least, most, 2.0, 60.0)
    return Order(spec, scaling, ProxyOptions("127.0.0.1", 8000, 0, slots=2 * most + 2), 600.0, 45.0)


class Stage:
    """A controller, what it acts on, and the time."""

    def __init__(self, order: Order | None = None) -> None:
        self.order = order or make_order()
        self.placer = FakePlacer()
        self.proxy = FakeProxy(self.order.proxy)
        self.now = 0.0
        self.take_over()

    def take_over(self) -> None:
        self.controller = Controller(self.placer, self.proxy, self.order, self.now)

    def run(self, seconds: float = 10.0) -> None:
        for _ in range(int(2 * seconds)):
            self.now += 0.5
            self.controller.tick(self.now)

    @property
    def up(self) -> list[str]:
        return sorted(state.address for state in self.proxy.read().values() if state.status == "UP")

    def digests(self) -> set[str]:
        return {look.digest for look in self.placer.looks.values()}

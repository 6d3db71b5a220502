"""The controller over a placer and a proxy that do as they are told, with a clock of numbers."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

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
        self.is_gone = False
        self.log: list[str] = []

    def open(self, slots: Slots) -> None:
        self.opened += 1
        self.is_gone = False
        known = {slot: f"{one.host}:{one.port}" for slot, one in slots.items()}
        for slot in slot_names(self.options):
            address = known.get(slot, "127.0.0.1:1")
            self.states[slot] = SlotState("UP" if slot in known else "MAINT", 0, address)

    def keep(self, slots: Slots) -> None:
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
        share = self.in_flight
        states = {}
        for slot, state in self.states.items():
            status = "DOWN" if state.address in self.silent and state.status == "UP" else state.status
            states[slot] = replace(state, status=status, in_flight=share if status == "UP" else 0)
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


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.run()
    return made


def test_replicas_are_placed_and_get_requests_once_they_are_ready(stage: Stage) -> None:
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]
    assert stage.controller.outcome == ""
    assert [one["serves"] for one in stage.controller.status["replicas"]] == [True, True]
    assert set(stage.proxy.kept.values()) == {Address("10.0.0.1", 30_001), Address("10.0.0.1", 30_002)}


def test_a_replica_that_is_gone_is_replaced_and_its_slot_is_free_again(stage: Stage) -> None:
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="lost", reason="node died")
    stage.run()
    assert stage.up == ["10.0.0.1:30002", "10.0.0.1:30003"]
    assert "shutdown sessions server http/replica-1" in stage.proxy.log


def test_a_replica_that_hangs_is_replaced(stage: Stage) -> None:
    stage.proxy.silent.add("10.0.0.1:30001")
    stage.run(30.0)
    assert stage.up == ["10.0.0.1:30002", "10.0.0.1:30003"]


def test_more_in_flight_brings_more_replicas_and_less_takes_them_away_drained() -> None:
    stage = Stage(make_order(least=1))
    stage.run()
    assert len(stage.up) == 1
    stage.proxy.in_flight = 6
    stage.run()
    assert len(stage.up) == 3
    stage.proxy.in_flight = 0
    stage.proxy.log.clear()
    stage.run(150.0)
    assert len(stage.up) == 1
    drained = [command for command in stage.proxy.log if command.endswith("drain")]
    assert len(drained) == 2
    for command in drained:
        slot = command.split()[2]
        assert stage.proxy.log.index(command) < stage.proxy.log.index(f"set server {slot} state maint")


def test_an_update_replaces_one_after_the_other(stage: Stage) -> None:
    stage.controller.change(make_order("second"), stage.now)
    served = []
    for _ in range(40):
        stage.run(0.5)
        served.append(len(stage.up))
    assert min(served) == 2
    assert max(served) == 3
    assert stage.digests() == {make_order("second").spec.digest}
    assert stage.controller.outcome == ""


def test_an_update_whose_first_replica_fails_is_given_up_and_nothing_else_changes(stage: Stage) -> None:
    broken = make_order("broken")
    stage.placer.broken.add(broken.spec.digest)
    stage.controller.change(broken, stage.now)
    stage.run(20.0)
    assert stage.controller.outcome == "a new replica was not ready: the model is broken"
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]
    assert [digest for digest, _ in stage.placer.started][2:] == [broken.spec.digest]


def test_replicas_that_were_replaced_go_back_when_a_later_one_fails(stage: Stage) -> None:
    second = make_order("second")
    stage.controller.change(second, stage.now)
    while "10.0.0.1:30001" in stage.up:  # the first one is replaced
        stage.run(0.5)
    stage.placer.broken.add(second.spec.digest)
    stage.run(60.0)
    assert stage.controller.outcome is not None
    assert stage.digests() == {stage.order.spec.digest}
    assert len(stage.up) == 2


def test_a_controller_that_takes_over_changes_nothing_that_is_as_it_should_be(stage: Stage) -> None:
    started, log = len(stage.placer.started), len(stage.proxy.log)
    stage.take_over()
    stage.run()
    assert (len(stage.placer.started), len(stage.proxy.log)) == (started, log)
    assert stage.controller.outcome == ""


def test_a_controller_that_takes_over_after_an_update_replaces_nothing(stage: Stage) -> None:
    order = stage.order
    updated = replace(order, spec=replace(order.spec, generation="of Monday"))
    stage.controller.change(updated, stage.now)
    stage.run(30.0)
    assert stage.digests() == {updated.spec.digest}
    started = len(stage.placer.started)
    stage.take_over()
    stage.run()
    assert len(stage.placer.started) == started
    stage.placer.looks["r3"] = replace(stage.placer.looks["r3"], state="lost")
    stage.run()
    assert stage.digests() == {updated.spec.digest}


def test_a_controller_that_takes_over_with_other_settings_updates_and_can_go_back(stage: Stage) -> None:
    before = stage.order
    stage.order = make_order("broken")
    stage.placer.broken.add(stage.order.spec.digest)
    stage.take_over()
    stage.run(20.0)
    assert stage.controller.outcome == "a new replica was not ready: the model is broken"
    assert stage.digests() == {before.spec.digest}
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="lost")
    stage.run()
    assert len(stage.up) == 2  # healed with what was proved
    assert stage.digests() == {before.spec.digest}


def test_the_first_replicas_that_fail_are_tried_elsewhere_and_then_reported() -> None:
    stage = Stage()
    stage.placer.broken.add(stage.order.spec.digest)
    with pytest.raises(ClusterError, match=r"3 replicas were not ready; the last one: the model is broken"):
        stage.run(60.0)
    assert stage.placer.started[-1][1] >= {"node-r1"}


def test_a_node_on_which_no_replica_becomes_ready_ends_nothing_that_serves() -> None:
    stage = Stage()
    stage.run(0.5)
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="ended", reason="no such file")
    stage.run(3.0)
    stage.placer.broken.add(stage.order.spec.digest)
    for name in ("r3", "r4", "r5", "r6"):
        if name in stage.placer.looks:
            stage.placer.looks[name] = replace(stage.placer.looks[name], state="ended")
        stage.run(15.0)
    assert stage.up == ["10.0.0.1:30002"]
    assert len(stage.placer.started) > 5


def test_a_proxy_that_died_is_started_again_with_the_replicas_of_now(stage: Stage) -> None:
    stage.proxy.is_gone = True
    stage.run(1.0)
    assert stage.proxy.opened == 2
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]


def test_failing_starts_are_tried_again_after_longer_and_longer_pauses(stage: Stage) -> None:
    stage.placer.broken.add(stage.order.spec.digest)
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="ended")
    stage.run(60.0)
    assert 4 <= len(stage.placer.started) - 2 <= 8
    stage.placer.broken.clear()
    stage.run(120.0)
    assert len(stage.up) == 2

"""Keeps the replicas, and the proxy before them, as they are wanted; what it knows it sees anew each time.

What is wanted comes with the command that runs it, and what there is from Ray and HAProxy: a controller that
ended, however, is replaced by starting the command again, and requests are answered meanwhile.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from serve.cluster.errors import ClusterError
from serve.cluster.order import Order, Proxy
from serve.cluster.placer import Placer
from serve.cluster.plan import SeenReplica, Steps, Wanted, plan_steps
from serve.cluster.proxy_text import (
    Address,
    Place,
    ProxyOptions,
    SlotState,
    find_slots,
    list_free,
    slot_names,
    write_commands,
)
from serve.cluster.record import ReplicaRecord
from serve.cluster.replica import ReplicaLook
from serve.cluster.scaling import Scaler

log = logging.getLogger("adaptact")

PAUSES_SECONDS = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""After so many starts in a row that failed."""
MOST_FIRST_FAILURES = 3
"""Where no replica has ever been ready, the operator is to put it right."""
AVOID_SECONDS = 300.0
"""A node on which a replica did not become ready gets no other for so long, if there are other nodes."""


class Controller:
    """Brings about one order at a time; `now` is a time in seconds that only goes forward."""

    def __init__(self, placer: Placer, proxy: Proxy, order: Order, now: float) -> None:
        """Take over what there is. Raises `ClusterError`."""
        self._placer = placer
        self._proxy = proxy
        self.order = order
        self._proved: Order | None = None
        """What was last brought about; an order that cannot be is followed by this one again."""
        self._records: dict[str, ReplicaRecord] = {}
        self._failures = 0
        self._pause_until = now
        self._avoided: dict[str, float] = {}
        self.outcome: str | None = None
        """Of the order: None while it is brought about, empty when it is, else why it was given up."""
        looks = placer.look()
        self._adopt(looks, now)
        staying = sum(not look.is_stopping for look in looks.values())
        self._scaler = Scaler(order.scaling, staying, now)
        self._open_proxy(self._trust_both(self.order))
        self._status: dict[str, Any] = {}
        self._is_kept = True
        """Whether HAProxy's file has the replicas of now."""

    def change(self, order: Order, now: float) -> None:
        """From now on this is wanted; raises `ClusterError` where the proxy cannot have it."""
        self._change_proxy(self._trust_both(order))
        self._scaler.change(order.scaling)
        self.order, self.outcome = order, None
        self._failures, self._pause_until = 0, now
        self._avoided.clear()

    def tick(self, now: float) -> None:
        """Look at everything once, and take the next steps. Raises `ClusterError`."""
        looks = self._placer.look()
        states = self._read_proxy()
        self._note(looks, states, now)
        seen = [self._records[name].see(name, look, states, now) for name, look in looks.items()]
        in_flight = sum(state.in_flight for state in states.values())
        count = self._scaler.decide(in_flight, now)
        wanted = Wanted(
            count=count,
            digest=self.order.spec.digest,
            may_start=now >= self._pause_until,
            ready_seconds=self.order.ready_seconds,
            stop_seconds=self.order.stop_seconds,
        )
        steps = plan_steps(seen, wanted)
        self._give_up(steps, looks, now)
        self._judge(seen, steps, wanted, now)
        self._correct_proxy(states)  # before a replica is told to stop
        for name in steps.stop:
            self._placer.stop(name)
        if steps.failed is None:  # else after a pause, and perhaps of another specification
            self._start(steps.start, now)
        replicas = [
            {
                **self._records[one.name].describe(one, states),
                "is_current": one.digest == self.order.spec.digest,
            }
            for one in seen
            if one.name in self._records
        ]
        self._status = {"wanted": count, "replicas": replicas}

    @property
    def has_served(self) -> bool:
        """Whether any replica has ever served, now or under a controller before."""
        return self._proved is not None

    @property
    def status(self) -> dict[str, Any]:
        """What was seen last, for people and programs."""
        return {**self._status, "outcome": self.outcome}

    def _adopt(self, looks: Mapping[str, ReplicaLook], now: float) -> None:
        for name, look in looks.items():
            leaving = now if look.is_stopping else None
            self._records[name] = ReplicaRecord(now, was_up=look.state == "ready", leaving_since=leaving)
        ready = [name for name, look in looks.items() if look.state == "ready"]
        self._find_proved(looks, ready)
        addresses = {name: address for name in ready if (address := looks[name].address) is not None}
        try:
            slots = find_slots(self._proxy.read(), addresses)
        except OSError:
            slots = {}
        for name, slot in slots.items():
            self._records[name].slot, self._records[name].address = slot, addresses[name]
        if looks:
            log.info("%d replicas are taken over", len(looks))

    def _find_proved(self, looks: Mapping[str, ReplicaLook], ready: Sequence[str]) -> None:
        """Of these replicas, which are ready, learn to what an update can go back."""
        others = [name for name in ready if looks[name].digest != self.order.spec.digest]
        if others:
            spec = self._placer.read_spec(others[0])
            if spec is not None:
                proxy = replace(self.order.proxy, trusted=spec.files.get("tls_certificate", b""))
                self._proved = replace(self.order, spec=spec, proxy=proxy)
                if spec.content == self.order.spec.content:
                    self.order = self._proved  # of an update in which nothing but its time was new
        elif ready:
            self._proved = self.order

    def _trust_both(self, order: Order) -> ProxyOptions:
        """The order's proxy, which knows the replicas that an update replaces by their certificates too."""
        orders = order, self.order, self._proved or order
        trusted = dict.fromkeys(one.proxy.trusted for one in orders)
        return replace(order.proxy, trusted=b"\n".join(filter(None, trusted)))

    def _change_proxy(self, options: ProxyOptions) -> None:
        """HAProxy has these options, or still those of before; then it raises `ClusterError`."""
        before = self._proxy.options
        if options == before:
            return
        try:
            self._open_proxy(options)
        except ClusterError:
            self._open_proxy(before)
            raise

    def _open_proxy(self, options: ProxyOptions) -> None:
        """HAProxy runs with these options, and each replica that has a slot still has one."""
        self._proxy.options = options
        names, moved = slot_names(options), []
        for record in self._records.values():
            if record.slot is not None and record.slot not in names:
                record.slot = None
                moved.append(record)
        for record, slot in zip(moved, list_free(options, self._taken()), strict=False):
            record.slot = slot
        self._proxy.open(self._slots())

    def _read_proxy(self) -> Mapping[str, SlotState]:
        try:
            return self._proxy.read()
        except TimeoutError:
            log.error("HAProxy is there, and does not answer in time")
            return {}
        except OSError:
            log.error("HAProxy does not answer, and is started again")
            self._proxy.open(self._slots())
            return {}

    def _note(self, looks: Mapping[str, ReplicaLook], states: Mapping[str, SlotState], now: float) -> None:
        """Remember since when each is as it is, and give those that have become ready a slot."""
        self._records = {name: self._records.get(name) or ReplicaRecord(now) for name in looks}
        for name, look in looks.items():
            record = self._records[name]
            if look.is_stopping and record.leaving_since is None:
                record.leaving_since = now  # told by a controller before this one
            if look.state != "ready":
                continue
            if record.slot is None and record.leaving_since is None:
                self._give_slot(name, look)
            record.note(name, states, now)

    def _give_slot(self, name: str, look: ReplicaLook) -> None:
        free = list_free(self._proxy.options, self._taken())
        if free and look.address is not None:
            record = self._records[name]
            record.slot, record.address = free[0], look.address
            log.info("%s on %s is ready", name, look.address.host)

    def _judge(self, seen: list[SeenReplica], steps: Steps, wanted: Wanted, now: float) -> None:
        """Whether the order is brought about, or is to be given up."""
        staying = [one for one in seen if one.leaving is None and one.name not in steps.remove]
        serving = [one for one in staying if one.is_up and one.digest == wanted.digest]
        if serving and self._proved is None:
            self._proved = self.order
        if steps.failed is not None:
            self._fail(steps.failed, now)
        elif serving and len(serving) == len(staying) and len(serving) >= wanted.count:
            self._failures, self._proved = 0, self.order
            if self.outcome is None:
                self.outcome = ""
                log.info("%d replicas serve", len(serving))

    def _fail(self, reason: str, now: float) -> None:
        self._failures += 1
        pause = PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS) - 1)]
        self._pause_until = now + pause
        if self._proved is not None and self._proved is not self.order:
            self.outcome = f"a new replica was not ready: {reason}"
            log.error("the update is given up, and the replicas go back: %s", reason)
            self._go_back(self._proved, now)
        elif self._proved is None and self._failures >= MOST_FIRST_FAILURES:
            raise ClusterError(f"{self._failures} replicas were not ready; the last one: {reason}")
        else:
            log.error("a replica was not ready, and another is started in %g s: %s", pause, reason)

    def _go_back(self, order: Order, now: float) -> None:
        """This is wanted again, with as many replicas as serve."""
        try:
            self._change_proxy(self._trust_both(order))
        except ClusterError as error:
            log.error("HAProxy stays as the update wants it: %s", error)
            order = replace(order, proxy=self._proxy.options)
        serving = sum(one.was_up and one.leaving_since is None for one in self._records.values())
        self._scaler = Scaler(order.scaling, serving, now)
        self.order = self._proved = order

    def _give_up(self, steps: Steps, looks: Mapping[str, ReplicaLook], now: float) -> None:
        for name, reason in steps.remove.items():
            record = self._records.pop(name)
            if record.leaving_since is None:
                log.error("%s on node %s is replaced: %s", name, looks[name].node[:8] or "none", reason)
                if not record.was_up and looks[name].node:
                    self._avoided[looks[name].node] = now + AVOID_SECONDS
            self._placer.remove(name)
        for name in steps.stop:
            log.info("%s finishes its requests, and stops", name)
            self._records[name].leaving_since = now

    def _start(self, count: int, now: float) -> None:
        self._avoided = {node: until for node, until in self._avoided.items() if until > now}
        for _ in range(count):
            name = self._placer.start(self.order.spec, self._avoided)
            self._records[name] = ReplicaRecord(now)
            log.info("%s is asked for", name)

    def _correct_proxy(self, states: Mapping[str, SlotState]) -> None:
        places = {
            record.slot: Place(record.address, record.leaving_since is not None)
            for record in self._records.values()
            if record.slot is not None and record.address is not None
        }
        commands = write_commands(self._proxy.options, states, places)
        if commands:
            self._is_kept = False
            try:
                self._proxy.send(commands)
            except OSError as error:
                log.error("HAProxy does not answer: %s", error)  # the next tick tells it again
        if not self._is_kept:
            try:
                self._proxy.keep(self._slots())
                self._is_kept = True
            except ClusterError as error:  # a full disk, which ends nothing that serves
                log.error("%s; tried again", error)

    def _taken(self) -> list[str]:
        return [record.slot for record in self._records.values() if record.slot is not None]

    def _slots(self) -> dict[str, Address]:
        return {
            record.slot: record.address
            for record in self._records.values()
            if record.slot is not None and record.address is not None and record.leaving_since is None
        }

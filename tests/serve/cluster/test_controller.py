from dataclasses import replace

import pytest

from serve.cluster.errors import ClusterError
from serve.cluster.proxy_text import Address
from tests.serve.cluster.stage import Stage, make_order


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


def test_replicas_that_the_proxy_never_reaches_are_told_once_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.proxy.silent |= {"10.0.0.1:30001", "10.0.0.1:30002"}
    stage.run(60.0)
    told = [record.getMessage() for record in caplog.records if "does not answer HAProxy" in record.message]
    assert told == [
        f"r{number} on 10.0.0.1 is ready, and does not answer HAProxy: L6RSP SSL handshake failure"
        for number in (1, 2)
    ]


def test_a_proxy_that_is_slow_is_not_started_again(stage: Stage) -> None:
    stage.proxy.is_slow = True
    stage.run(60.0)
    stage.proxy.is_slow = False
    stage.run(1.0)
    assert stage.proxy.opened == 1
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]


def test_a_full_disk_ends_nothing_and_the_file_follows_once_there_is_room(stage: Stage) -> None:
    stage.proxy.is_full = True
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="lost", reason="node died")
    stage.run()
    assert stage.up == ["10.0.0.1:30002", "10.0.0.1:30003"]
    stage.proxy.is_full = False
    stage.run(1.0)
    assert set(stage.proxy.kept.values()) == {Address("10.0.0.1", 30_002), Address("10.0.0.1", 30_003)}


def test_failing_starts_are_tried_again_after_longer_and_longer_pauses(stage: Stage) -> None:
    stage.placer.broken.add(stage.order.spec.digest)
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], state="ended")
    stage.run(60.0)
    assert 4 <= len(stage.placer.started) - 2 <= 8
    stage.placer.broken.clear()
    stage.run(120.0)
    assert len(stage.up) == 2

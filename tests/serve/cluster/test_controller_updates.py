from dataclasses import replace

from tests.serve.cluster.stage import Stage, make_order


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


def test_an_update_that_is_given_up_leaves_the_ports_and_the_number_of_before(stage: Stage) -> None:
    broken = make_order("broken", least=3)
    stage.placer.broken.add(broken.spec.digest)
    stage.controller.change(replace(broken, proxy=replace(broken.proxy, port=9000)), stage.now)
    assert stage.proxy.options.port == 9000
    stage.run(20.0)
    assert stage.controller.outcome == "a new replica was not ready: the model is broken"
    assert stage.proxy.options == stage.order.proxy
    assert stage.controller.status["wanted"] == 2
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]


def test_the_proxy_knows_replicas_of_both_certificates_until_an_update_has_ended(stage: Stage) -> None:
    first = replace(stage.order, proxy=replace(stage.order.proxy, certificate=b"key", trusted=b"first"))
    stage.controller.change(first, stage.now)
    stage.run()
    order = make_order("broken")
    broken = replace(order, proxy=replace(order.proxy, certificate=b"other key", trusted=b"second"))
    stage.placer.broken.add(broken.spec.digest)
    stage.controller.change(broken, stage.now)
    assert (stage.proxy.options.certificate, stage.proxy.options.trusted) == (b"other key", b"second\nfirst")
    stage.run()
    assert (stage.proxy.options.certificate, stage.proxy.options.trusted) == (b"key", b"first\nsecond")
    stage.controller.change(first, stage.now)
    assert stage.proxy.options.trusted == b"first"


def test_more_replicas_than_there_is_room_for_are_given_up(stage: Stage) -> None:
    stage.placer.is_full = True
    stage.controller.change(replace(make_order(least=3), ready_seconds=5.0), stage.now)
    stage.run(10.0)
    assert stage.controller.outcome is not None
    assert "no node has room for it" in stage.controller.outcome
    assert stage.controller.status["wanted"] == len(stage.placer.looks) == 2


def test_an_update_whose_replica_the_proxy_does_not_reach_is_given_up(stage: Stage) -> None:
    stage.proxy.silent.add("10.0.0.1:30003")
    stage.controller.change(make_order("second"), stage.now)
    stage.run(30.0)
    assert stage.controller.outcome is not None
    assert "has not answered the proxy" in stage.controller.outcome
    assert stage.up == ["10.0.0.1:30001", "10.0.0.1:30002"]


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

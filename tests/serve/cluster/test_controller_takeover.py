from dataclasses import replace

from tests.serve.cluster.stage import Stage, make_order


def test_a_controller_that_takes_over_changes_nothing_that_is_as_it_should_be(stage: Stage) -> None:
    started, log = len(stage.placer.started), len(stage.proxy.log)
    stage.take_over()
    stage.run()
    assert (len(stage.placer.started), len(stage.proxy.log)) == (started, log)
    assert stage.controller.outcome == ""


def test_a_controller_that_takes_over_sends_nothing_to_a_replica_that_stops() -> None:
    stage = Stage(make_order(least=1))
    stage.proxy.in_flight = 4
    stage.run(20.0)
    assert len(stage.up) == 2
    stage.proxy.in_flight = 0
    stage.placer.looks["r1"] = replace(stage.placer.looks["r1"], is_stopping=True)
    stage.take_over()
    assert stage.up == ["10.0.0.1:30002"]
    stage.run(1.0)
    assert stage.controller.status["wanted"] == 1


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

from dataclasses import replace

from serve.cluster.plan import SeenReplica, Steps, Wanted, plan_steps

NEW, OLD = "new", "old"
TWO = Wanted(count=2, digest=NEW)


def up(name: str, digest: str = NEW, node: str = "a") -> SeenReplica:
    return SeenReplica(name, digest, "ready", node, is_up=True, was_up=True)


def starting(name: str, digest: str = NEW) -> SeenReplica:
    return SeenReplica(name, digest, "starting", "a", age=1.0)


def test_as_many_are_started_as_are_missing() -> None:
    assert plan_steps([], TWO) == Steps(start=2)
    assert plan_steps([starting("r1")], TWO) == Steps(start=1)
    assert plan_steps([up("r1"), starting("r2")], TWO) == Steps()


def test_none_is_started_while_a_pause_lasts() -> None:
    assert plan_steps([], replace(TWO, may_start=False)) == Steps()


def test_one_that_has_ended_or_is_lost_is_removed_and_replaced() -> None:
    seen = [replace(up("r1"), state="ended", is_up=False, reason="killed"), up("r2")]
    assert plan_steps(seen, TWO) == Steps(start=1, remove={"r1": "killed"})
    seen = [replace(up("r1"), state="lost", is_up=False), up("r2")]
    assert plan_steps(seen, TWO) == Steps(start=1, remove={"r1": "lost"})


def test_one_that_is_not_ready_in_time_has_failed() -> None:
    late = replace(starting("r1"), age=601.0)
    steps = plan_steps([late, up("r2")], TWO)
    assert steps.remove == {"r1": "was not ready within 600 s: it is still starting"}
    assert steps.failed == steps.remove["r1"]
    steps = plan_steps([replace(late, state="placing"), up("r2")], TWO)
    assert steps.failed == "was not ready within 600 s: no node has room for it"


def test_one_that_was_up_before_it_ended_has_not_failed_to_start() -> None:
    ended = replace(up("r1"), state="ended", is_up=False)
    assert plan_steps([ended], TWO).failed is None
    assert plan_steps([replace(ended, was_up=False)], TWO).failed == "ended"


def test_one_that_hangs_is_replaced_where_another_answers() -> None:
    hung = replace(up("r1"), is_up=False, down=16.0)
    assert plan_steps([hung, up("r2")], TWO).remove == {"r1": "has not answered the proxy for 16 s"}
    both = [hung, replace(hung, name="r2")]
    assert plan_steps(both, TWO) == Steps()  # the proxy, or a model, is the reason


def test_of_several_that_hang_one_at_a_time_is_replaced() -> None:
    hung = [replace(up(name), is_up=False, down=20.0) for name in ("r1", "r2")]
    assert len(plan_steps([*hung, up("r3")], replace(TWO, count=3)).remove) == 1


def test_those_too_many_stop_first_where_they_serve_least_and_are_most() -> None:
    seen = [up("r1", node="a"), up("r2", node="b"), up("r3", node="a"), starting("r4")]
    assert plan_steps(seen, TWO).stop == ["r4", "r1"]


def test_one_that_stops_counts_no_more_and_is_killed_when_it_takes_too_long() -> None:
    leaving = replace(up("r1"), leaving=1.0)
    assert plan_steps([leaving, up("r2"), up("r3")], TWO) == Steps()
    assert plan_steps([replace(leaving, leaving=46.0), up("r2"), up("r3")], TWO) == Steps(
        remove={"r1": "did not stop in time"}
    )


def test_an_update_starts_one_before_it_stops_one_and_serves_with_as_many_all_the_time() -> None:
    seen = [up("r1", OLD), up("r2", OLD)]
    assert plan_steps(seen, TWO) == Steps(start=1)
    assert plan_steps([*seen, starting("n1")], TWO) == Steps()
    assert plan_steps([*seen, up("n1")], TWO) == Steps(stop=["r1"])
    leaving = [replace(seen[0], leaving=1.0), seen[1], up("n1")]
    assert plan_steps(leaving, TWO) == Steps()
    assert plan_steps([seen[1], up("n1")], TWO) == Steps(start=1)
    assert plan_steps([seen[1], up("n1"), up("n2")], TWO) == Steps(stop=["r2"])
    assert plan_steps([up("n1"), up("n2")], TWO) == Steps()


def test_going_back_is_an_update_to_what_was_before() -> None:
    back = replace(TWO, digest=OLD)
    assert plan_steps([up("r2", OLD), up("n1")], back) == Steps(start=1)
    assert plan_steps([up("r2", OLD), up("n1"), up("r3", OLD)], back) == Steps(stop=["n1"])
    assert plan_steps([up("r2", OLD), up("r3", OLD), starting("n1")], back) == Steps(stop=["n1"])


def test_an_update_stops_those_that_do_not_answer_first() -> None:
    seen = [up("r1", OLD), replace(up("r2", OLD), is_up=False), up("n1"), up("n2")]
    assert plan_steps(seen, TWO).stop == ["r2"]


def test_the_same_steps_are_not_taken_twice() -> None:
    seen = [up("r1"), up("r2"), up("r3")]
    stopped = plan_steps(seen, TWO).stop
    after = [replace(one, leaving=0.0) if one.name in stopped else one for one in seen]
    assert plan_steps(after, TWO) == Steps()

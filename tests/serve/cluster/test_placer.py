import traceback
from dataclasses import replace

import pytest

from serve.cluster.errors import ClusterError
from serve.cluster.spec import ReplicaSpec

ray = pytest.importorskip("ray")

from serve.cluster.placer import RayReplica, explain_loss  # noqa: E402

SPEC = ReplicaSpec({}, {}, 1, 0.0, has_grpc=False, models="m")


def test_a_node_of_another_version_makes_no_replica_and_says_why() -> None:
    with pytest.raises(ClusterError, match="install the same version on every node") as caught:
        RayReplica(replace(SPEC, version="0.0.0"))
    text = "".join(traceback.format_exception(caught.value))
    failed = ray.exceptions.RayTaskError("RayReplica.__init__", text, caught.value)
    assert "the same version on every node" in explain_loss(ray.exceptions.ActorDiedError(failed))


def test_of_an_actor_that_died_later_the_first_line_says_why() -> None:
    assert explain_loss(ray.exceptions.ActorDiedError()).startswith("The actor died unexpectedly")

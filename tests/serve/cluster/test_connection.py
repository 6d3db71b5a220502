import pytest

from serve.cluster.connection import connect
from serve.cluster.errors import ClusterError


def test_where_nothing_listens_the_operator_is_told_at_once_what_begins_a_cluster() -> None:
    with pytest.raises(ClusterError, match=r"no cluster at `127\.0\.0\.1:1`: .*; `ray start --head`"):
        connect("127.0.0.1:1")

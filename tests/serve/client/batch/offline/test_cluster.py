"""What a process of a cluster does with a shard, in this process."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptact.errors import ClusterError
from serve.client import InvalidFileError
from serve.client.batch.offline import cluster
from serve.client.batch.offline.cluster import answer_on_cluster
from tests.serve.client.batch.offline.conftest import GIVEN, Predict, load
from tests.serve.client.batch.offline.writing import FORMS, write_csv


class PickledTasks:
    """A cluster whose machines have nothing but what they are sent."""

    def map(
        self, task: Any, shared: object, items: list[object], most: int | None
    ) -> Iterator[tuple[object, object]]:
        sent = pickle.dumps(shared)
        for item in reversed(items):
            one = pickle.loads(pickle.dumps((pickle.loads(sent), item)))
            yield item, pickle.loads(pickle.dumps(task(*one)))


@pytest.mark.parametrize("form", ["csv", "npz", "parquet, lists"])
def test_shards_are_answered_as_they_are_here(predict: Predict, tmp_path: Path, form: str) -> None:
    name, write = FORMS[form]
    write(tmp_path / name, GIVEN)
    predict(tmp_path / name, "here.npz")
    predict(tmp_path / name, answer=answer_on_cluster(PickledTasks(), None))  # type: ignore[arg-type]
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "here.npz").read_bytes()
    assert load(tmp_path / "out.npz")["y"].tobytes() == (GIVEN + GIVEN).tobytes()


def test_a_node_with_another_file_is_named_with_what_to_do(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)
    monkeypatch.setattr(cluster, "name_node", lambda: "ab12")

    class Elsewhere(PickledTasks):
        def map(self, *given: Any) -> Iterator[tuple[object, object]]:
            os.utime(tmp_path / "in.csv", ns=(5, 5))
            return super().map(*given)

    with pytest.raises(InvalidFileError, match=r"on node ab12: .* is not what it was") as caught:
        predict(tmp_path / "in.csv", answer=answer_on_cluster(Elsewhere(), None))  # type: ignore[arg-type]
    assert "under the same path on every node" in str(caught.value.hint)


def test_a_node_with_another_runtime_is_named(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)
    monkeypatch.setattr(cluster, "name_node", lambda: "ab12")

    class Upgraded(PickledTasks):
        def map(self, *given: Any) -> Iterator[tuple[object, object]]:
            monkeypatch.setattr(cluster, "onnxruntime", SimpleNamespace(__version__="9.9"))
            return super().map(*given)

    with pytest.raises(ClusterError, match=r"node ab12 has onnxruntime 9\.9, and this machine [0-9.]+"):
        predict(tmp_path / "in.csv", answer=answer_on_cluster(Upgraded(), None))  # type: ignore[arg-type]

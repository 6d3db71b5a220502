"""Shards answered on the machines of a cluster, each by a process there that has loaded the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from adaptact.cluster import TaskCluster, name_node
from adaptact.errors import ClusterError
from serve.client.batch.offline.answers import AnswerOptions, answer_shard
from serve.client.batch.offline.model import LocalModel
from serve.client.batch.offline.model_files import ModelFiles, PackedModel
from serve.client.batch.offline.run import AnswerShards
from serve.client.batch.offline.shards import Shard, ShardPlan, Source
from serve.client.batch.results import Table
from serve.client.errors import ChangedFileError

SHARE = (
    "an input has to lie under the same path on every node, in a shared folder, or as a copy with its times "
    "(`cp -a`, `rsync -a`)"
)

_loaded: dict[str, tuple[LocalModel, TemporaryDirectory[str]]] = {}


@dataclass(frozen=True, slots=True)
class SharedWork:
    """What all shards have in common; it is sent to each machine once."""

    model: PackedModel
    options: AnswerOptions
    runtime: str = onnxruntime.__version__
    """The version of ONNX Runtime, on which the answers' bits depend."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard and the source that has its rows."""

    source: Source
    shard: Shard


def answer_on_cluster(cluster: TaskCluster, most: int | None) -> AnswerShards:
    """Shards are answered on the cluster, at most so many at once."""

    def answer(
        files: ModelFiles,
        model: LocalModel,
        options: AnswerOptions,
        plan: ShardPlan,
        left: Sequence[Shard],
    ) -> Iterator[tuple[Shard, Table]]:
        tasks = [ShardTask(plan.sources[shard.source], shard) for shard in left]
        for task, table in cluster.map(do_shard, SharedWork(files.pack(), options), tasks, most):
            yield task.shard, table

    return answer


def do_shard(work: SharedWork, task: ShardTask) -> Table:
    """The answers to the shard's rows, by the model that this process loads once."""
    if work.runtime != onnxruntime.__version__:
        raise ClusterError(
            f"node {name_node()} has onnxruntime {onnxruntime.__version__}, and this machine {work.runtime}",
            "install the same version on every node",
        )
    try:
        return answer_shard(_load(work.model), work.options, task.source, task.shard)
    except ChangedFileError as error:
        raised = ChangedFileError(f"on node {name_node()}: {error}")
        raised.hint = SHARE
        raise raised from error


def _load(packed: PackedModel) -> LocalModel:
    if packed.digest not in _loaded:
        for _, left in _loaded.values():
            left.cleanup()
        _loaded.clear()
        folder = TemporaryDirectory(prefix="adaptact-model-")
        model = LocalModel(packed.unpack(Path(folder.name)))
        packed.remove_loaded(Path(folder.name))
        _loaded[packed.digest] = model, folder
    model, _ = _loaded[packed.digest]
    return model

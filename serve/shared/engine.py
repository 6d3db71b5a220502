"""An engine whose administration reaches every worker, and whose statistics are of all of them."""

from asyncio import sleep
from collections import defaultdict
from collections.abc import Iterable, Mapping

import orjson

from serve.engine.engine import Engine
from serve.engine.metrics import Metrics
from serve.engine.options import EngineOptions
from serve.engine.statistics import BatchStatistics, Duration, InferStatistics, VersionStatistics
from serve.shared.channel import Json
from serve.shared.worker_group import IN_ROOM, WorkerGroup

STAGES = ("compute_input", "compute_infer", "compute_output")


class SharedEngine(Engine):
    """One worker's engine: it runs its own requests, and is administered together with the others."""

    def __init__(self, options: EngineOptions, metrics: Metrics, workers: WorkerGroup) -> None:
        """Register this engine's part in what the workers do together."""
        super().__init__(options, metrics)
        self._workers = workers
        workers.register("load", self._load_here)
        workers.register("unload", super().unload)
        workers.register("set_alias", self._set_alias_here)
        workers.register("remove_alias", self._remove_alias_here)
        workers.register("statistics", self._statistics_here)
        workers.register("memory", self.memory.report)
        workers.register("evict", self.memory.evict)
        workers.register("demand", self.memory.demand)
        self.memory.load_again = self._load_again

    async def load(self, name: str, config: Mapping[str, object] | None = None) -> None:
        """As of `Engine`, in every worker."""
        if self.memory.is_limited:
            await self._workers.broadcast(IN_ROOM, name, "load", config)
        else:
            await self._workers.broadcast("load", name, config)

    async def unload(self, name: str) -> None:
        """As of `Engine`, in every worker."""
        await self._workers.broadcast("unload", name)

    async def set_alias(self, name: str, alias: str, version: str, at: int | None = None) -> None:
        """As of `Engine`, in every worker."""
        at = self._catalogue.choose_time(name) if at is None else at
        await self._workers.broadcast("set_alias", name, alias, version, at)

    async def remove_alias(self, name: str, alias: str, at: int | None = None) -> None:
        """As of `Engine`, in every worker."""
        at = self._catalogue.choose_time(name) if at is None else at
        await self._workers.broadcast("remove_alias", name, alias, at)

    async def statistics(
        self, name: str | None = None, version: str | None = None
    ) -> list[VersionStatistics]:
        """As of `Engine`, of every worker together."""
        answers = await self._workers.broadcast("statistics", name, version)
        versions: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for record in (record for answer in answers for record in answer):
            versions[record["name"], record["version"]].append(record)
        summed = []
        for records in versions.values():
            summed.append(_sum_statistics(records))
            await sleep(0)  # others are answered in between
        return summed

    # A change is answered with the verb and arguments that undo it, or None where nothing does.

    async def _load_here(self, name: str, config: Mapping[str, object] | None) -> Json:
        was_served = name in self.names()
        await super().load(name, config)
        return None if was_served else ["unload", name]  # the file that was served may have been another one

    async def _load_again(self, name: str) -> None:
        await self._workers.broadcast(IN_ROOM, name, "demand")

    async def _set_alias_here(self, name: str, alias: str, version: str, at: int) -> Json:
        undo = self._undo_alias(name, alias, at)
        self._catalogue.set_alias(name, alias, version, at)
        return undo

    async def _remove_alias_here(self, name: str, alias: str, at: int) -> Json:
        undo = self._undo_alias(name, alias, at)
        self._catalogue.remove_alias(name, alias, at)
        return undo

    def _undo_alias(self, name: str, alias: str, at: int) -> list[Json]:
        version, later = self.aliases(name).get(alias), at + 1
        if version is None:
            return ["remove_alias", name, alias, later]
        return ["set_alias", name, alias, version, later]

    async def _statistics_here(self, name: str | None, version: str | None) -> Json:
        # As other workers get it; `asdict` takes twenty times as long.
        return orjson.loads(orjson.dumps(self.own_statistics(name, version)))


def _sum_statistics(records: list[Json]) -> VersionStatistics:
    """The workers' statistics of one version, added up."""
    batches: dict[int, list[Json]] = defaultdict(list)
    for batch in (batch for record in records for batch in record["batch_stats"]):
        batches[batch["batch_size"]].append(batch)
    return VersionStatistics(
        name=records[0]["name"],
        version=records[0]["version"],
        last_inference=max(record["last_inference"] for record in records),
        inference_count=sum(record["inference_count"] for record in records),
        execution_count=sum(record["execution_count"] for record in records),
        inference_stats=InferStatistics(
            **_sum_durations([record["inference_stats"] for record in records], InferStatistics.__slots__)
        ),
        batch_stats=[
            BatchStatistics(rows, **_sum_durations(batches[rows], STAGES)) for rows in sorted(batches)
        ],
    )


def _sum_durations(records: list[Json], names: Iterable[str]) -> dict[str, Duration]:
    return {
        name: Duration(
            sum(record[name]["count"] for record in records), sum(record[name]["ns"] for record in records)
        )
        for name in names
    }

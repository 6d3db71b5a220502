"""An engine whose administration reaches every worker, and whose statistics are of all of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from serve.engine.engine import Engine
from serve.engine.metrics import Metrics
from serve.engine.options import EngineOptions
from serve.engine.states import BatchStatistics, Duration, ModelStatistics
from serve.shared.channel import Json
from serve.shared.worker_group import WorkerGroup

STAGES = ("compute_input", "compute_infer", "compute_output")


class SharedEngine(Engine):
    """One worker's engine: it runs what it is asked itself, and is administered together with the others."""

    def __init__(self, options: EngineOptions, metrics: Metrics, colleagues: WorkerGroup) -> None:
        """Offer the colleagues what this engine does when one of them is told."""
        super().__init__(options, metrics)
        self._colleagues = colleagues
        colleagues.register("load", self._own_load)
        colleagues.register("unload", super().unload)
        colleagues.register("set_alias", self._own_set_alias)
        colleagues.register("remove_alias", self._own_remove_alias)
        colleagues.register("statistics", self._own_statistics)

    async def load(self, name: str, config: Mapping[str, object] | None = None) -> None:
        """As of `Engine`, in every worker."""
        await self._colleagues.broadcast("load", name, config)

    async def unload(self, name: str) -> None:
        """As of `Engine`, in every worker."""
        await self._colleagues.broadcast("unload", name)

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """As of `Engine`, in every worker."""
        await self._colleagues.broadcast("set_alias", name, alias, version)

    async def remove_alias(self, name: str, alias: str) -> None:
        """As of `Engine`, in every worker."""
        await self._colleagues.broadcast("remove_alias", name, alias)

    async def statistics(self, name: str | None = None, version: str | None = None) -> list[ModelStatistics]:
        """As of `Engine`, of every worker together."""
        answers = await self._colleagues.broadcast("statistics", name, version)
        found: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for each in (each for answer in answers for each in answer):
            found[each["name"], each["version"]].append(each)
        return [_sum_statistics(each) for each in found.values()]

    # What changes this engine is answered with what undoes it, or None where nothing does.

    async def _own_load(self, name: str, config: Mapping[str, object] | None) -> Json:
        served = name in self.names()
        await super().load(name, config)
        return None if served else ["unload", name]  # what served before may have been another file

    async def _own_set_alias(self, name: str, alias: str, version: str) -> Json:
        undo = self._alias_again(name, alias)
        await super().set_alias(name, alias, version)
        return undo

    async def _own_remove_alias(self, name: str, alias: str) -> Json:
        undo = self._alias_again(name, alias)
        await super().remove_alias(name, alias)
        return undo

    def _alias_again(self, name: str, alias: str) -> list[str]:
        meant = self.aliases(name).get(alias)
        return ["remove_alias", name, alias] if meant is None else ["set_alias", name, alias, meant]

    async def _own_statistics(self, name: str | None, version: str | None) -> Json:
        return [asdict(each) for each in self.own_statistics(name, version)]


def _sum_statistics(found: list[Json]) -> ModelStatistics:
    """One version's statistics of every worker as one."""
    batches: dict[int, list[Json]] = defaultdict(list)
    for batch in (batch for each in found for batch in each["batch_stats"]):
        batches[batch["batch_size"]].append(batch)
    return ModelStatistics(
        name=found[0]["name"],
        version=found[0]["version"],
        last_inference=max(each["last_inference"] for each in found),
        inference_count=sum(each["inference_count"] for each in found),
        execution_count=sum(each["execution_count"] for each in found),
        waiting=sum(each["waiting"] for each in found),
        batch_stats=tuple(
            BatchStatistics(rows, **_sum_durations(batches[rows], STAGES)) for rows in sorted(batches)
        ),
        **_sum_durations(found, ("success", "fail", "queue", *STAGES)),
    )


def _sum_durations(found: list[Json], names: Iterable[str]) -> dict[str, Duration]:
    return {
        name: Duration(sum(each[name]["count"] for each in found), sum(each[name]["ns"] for each in found))
        for name in names
    }

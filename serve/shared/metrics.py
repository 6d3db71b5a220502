"""The metrics of all workers as one exposition."""

from asyncio import sleep

from prometheus_client import CollectorRegistry

from serve.shared.channel import Json
from serve.shared.exposition import Family, read_families, write_family
from serve.shared.worker_group import WorkerGroup

METRICS = "metrics"  # what workers are asked


def register_metrics(registry: CollectorRegistry, workers: WorkerGroup) -> None:
    """The workers can ask for the registry's series."""

    async def expose() -> list[Json]:
        families = []
        for family in read_families(registry):
            families.append([getattr(family, name) for name in Family.__slots__])
            await sleep(0)  # others are answered in between
        return families

    workers.register(METRICS, expose)


async def collect_metrics(workers: WorkerGroup) -> bytes:
    """The series of all workers, added up, in Prometheus' text format."""
    families: dict[str, Family] = {}
    for answer in await workers.broadcast(METRICS):
        for record in answer:
            family = Family(*record)
            if family.name in families:
                families[family.name].add(family)
            else:
                families[family.name] = family
            await sleep(0)
    pieces = []
    for family in families.values():
        for piece in write_family(family):
            pieces.append(piece)
            await sleep(0)
    return "".join(pieces).encode()

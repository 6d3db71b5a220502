"""`/v2/models/stats`: what each version has done, by the protocol's names."""

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

from serve.engine.engine import Engine
from serve.engine.states import ModelStatistics
from serve.rest.schemas import ERRORS, ModelName, VersionName


class Duration(BaseModel):
    """How often something was done, and the nanoseconds it took together."""

    count: int
    ns: int


class InferStatistics(BaseModel):
    """Requests that were answered, those that failed, and the stages of those answered."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class BatchStatistics(BaseModel):
    """The runs of one number of rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class VersionStatistics(BaseModel):
    """What one version has done since the server started."""

    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970; 0 for never."""
    inference_count: int
    """Rows."""
    execution_count: int
    """Runs."""
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    """Each version's statistics."""

    model_stats: list[VersionStatistics]


def statistics_routes(engine: Engine) -> APIRouter:
    """The routes of statistics; to be included before those of a model, which `stats` might be."""
    router = APIRouter(prefix="/v2/models", tags=["models"], responses=ERRORS)

    @router.get("/stats")
    async def all_statistics() -> Statistics:
        """What every version has done."""
        return _written(await engine.statistics())

    @router.get("/{model}/stats")
    async def model_statistics(model: ModelName) -> Statistics:
        """What each version of the model has done."""
        return _written(await engine.statistics(model))

    @router.get("/{model}/versions/{version}/stats")
    async def version_statistics(model: ModelName, version: VersionName) -> Statistics:
        """What this version has done."""
        return _written(await engine.statistics(model, version))

    return router


def _written(found: list[ModelStatistics]) -> Statistics:
    return Statistics(model_stats=[_version(each) for each in found])


def _version(found: ModelStatistics) -> VersionStatistics:
    told = asdict(found)
    stages = {name: told[name] for name in InferStatistics.model_fields}
    return VersionStatistics.model_validate(told | {"inference_stats": stages})

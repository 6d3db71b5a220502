"""The routes that plan experiments, under `/adaptact/v1/experiments`; they change nothing."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from serve.experiments.parsing import parse_experiment
from serve.experiments.plans import Assumptions
from serve.rest.body import read_small_object
from serve.rest.experiments import PREFIX, Name
from serve.rest.schemas import DEFINITION, ERRORS
from serve.rollout.administration import Administration
from serve.rollout.planning import Planner

MOST_UNITS = 1e12


def plan_routes(administration: Administration, planner: Planner) -> APIRouter:
    """The routes of plans."""
    router = APIRouter(prefix=f"{PREFIX}/experiments", tags=["experiments"], responses=ERRORS)

    @router.get("/{name:no_colon}/plan")
    async def plan(name: Name, assumptions: Annotated[Assumptions, Depends(_assume)]) -> dict[str, Any]:
        """What the experiment will show, and within how many units its guardrails stop harm."""
        known = await asyncio.to_thread(administration.read, name)
        return await planner.plan(known.experiment, assumptions)

    @router.post(":plan", openapi_extra=DEFINITION)
    async def plan_definition(
        request: Request, assumptions: Annotated[Assumptions, Depends(_assume)]
    ) -> dict[str, Any]:
        """The same for a definition that is not stored."""
        document = await read_small_object(request.scope, request.receive)
        return await planner.plan(parse_experiment(document), assumptions)

    return router


def _assume(
    units_per_day: Annotated[
        float, Query(ge=0, le=MOST_UNITS, description="0 for as many as the server has seen.")
    ] = 0.0,
    change: Annotated[
        float, Query(gt=0, le=10, description="To be shown of each metric: 0.1 for 10 %.")
    ] = 0.1,
    harm: Annotated[float, Query(ge=1, le=1000, description="Times as many errors, or as slow.")] = 3.0,
    harmful_share: Annotated[float, Query(gt=0, le=1, description="Units with an error, or NaN.")] = 0.05,
    power: Annotated[float, Query(ge=0.5, le=0.99)] = 0.8,
) -> Assumptions:
    return Assumptions(units_per_day, change, harm, harmful_share, power)

"""The routes of experiments, under `/adaptact/v1`: definitions, stages, results, and feedback."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from io import BytesIO
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from serve.engine.errors import MalformedRequestError, quote
from serve.experiments.errors import FeedbackError
from serve.experiments.metric_names import MetricNames, UnknownMetrics
from serve.experiments.request_ids import RequestIds
from serve.experiments.stages import Act
from serve.experiments.store.bulk_feedback import (
    BulkReceipt,
    accept_rows,
    parse_feedback,
    read_csv,
    read_json_lines,
    read_parquet,
)
from serve.experiments.store.database import Store
from serve.experiments.store.feedback import accept
from serve.protocol.json_text import Value
from serve.rest.access import CALLER
from serve.rest.body import read_body, read_body_headers, read_small_object
from serve.rest.experiment_replies import (
    AuditReply,
    ExperimentList,
    ExperimentReply,
    PhaseReply,
    describe_entry,
    describe_experiment,
    describe_phase,
)
from serve.rest.language import AskedLanguage
from serve.rest.schemas import ACT, DEFINITION, ERRORS, FEEDBACK, FEEDBACK_FILE
from serve.rollout.administration import Administration
from serve.rollout.measuring import ExperimentMetrics

PREFIX = "/adaptact/v1"
ACTS: tuple[Act, ...] = ("start", "advance", "pause", "resume", "stop", "promote")
MAX_REASON = 1000
READERS = {
    "application/x-ndjson": read_json_lines,
    "application/jsonl": read_json_lines,
    "text/csv": read_csv,
    "application/vnd.apache.parquet": read_parquet,
}
Name = Annotated[str, Path(description="The experiment's name.")]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Follow: TypeAlias = Callable[[], Awaitable[None]]


class RefusedReply(BaseModel):
    """Why an outcome was not stored; `place` is its line in a file, or its place from 0."""

    place: int
    reason: str


class LookReply(BaseModel):
    """What a look has shown, as `results` does, and when (microseconds since 1970, UTC)."""

    at: int
    results: dict[str, Any]


class LookList(BaseModel):
    """Looks over time, the oldest first."""

    looks: list[LookReply]


class UnknownMetricReply(BaseModel):
    """A metric that no experiment has, of how many outcomes it is, and which one may have been meant."""

    metric: str
    count: int
    suggestion: str | None


class ReceiptReply(BaseModel):
    """What became of outcomes: those that are new or duplicate are on the disk."""

    new: int
    duplicate: int
    refused: int
    reasons: list[RefusedReply]
    unmatched: int
    """Of those that are stored: how many name a request of which nothing is known, and so count for none."""
    unknown: int
    """Of those that are stored: how many are of metrics that no experiment has, and so count for none yet."""
    unknown_metrics: list[UnknownMetricReply]
    """The most frequent of these metrics."""


def experiment_routes(administration: Administration, follow: Follow) -> APIRouter:
    """The routes of definitions, stages, results and looks.

    A change is answered once `follow` has let every worker of this server follow it.
    """
    router = APIRouter(prefix=f"{PREFIX}/experiments", tags=["experiments"], responses=ERRORS)

    @router.get("")
    async def experiments(language: AskedLanguage) -> ExperimentList:
        """Every experiment, by name."""
        found = await asyncio.to_thread(administration.read_all)
        return ExperimentList(experiments=[describe_experiment(each, language) for each in found])

    @router.get("/{name:no_colon}")
    async def experiment(name: Name, language: AskedLanguage) -> ExperimentReply:
        """The experiment's definition, its phase, and what can be done with it."""
        return describe_experiment(await asyncio.to_thread(administration.read, name), language)

    @router.put("/{name:no_colon}", openapi_extra=DEFINITION)
    async def define(name: Name, request: Request) -> ExperimentReply:
        """Define the experiment, or amend it; a change of what is compared begins a new comparison."""
        document = await read_small_object(request.scope, request.receive)
        defined = await asyncio.to_thread(administration.define, name, document, _who(request))
        await follow()
        return describe_experiment(defined)

    for act in ACTS:
        router.add_api_route(
            f"/{{name:no_colon}}:{act}",
            _make_act(administration, act, follow),
            methods=["POST"],
            name=act,
            openapi_extra=ACT,
        )
    _add_evidence(router, administration)
    return router


def _add_evidence(router: APIRouter, administration: Administration) -> None:
    """The routes of what an experiment shows, and of what became of it."""

    @router.get("/{name:no_colon}/results")
    async def results(name: Name, language: AskedLanguage) -> dict[str, Any]:
        """The verdict now, and all that it rests on."""
        return await asyncio.to_thread(administration.read_results, name, language)

    @router.get("/{name:no_colon}/looks")
    async def looks(name: Name, most: Annotated[int, Query(ge=1, le=1000)] = 200) -> LookList:
        """What looks have shown, spread evenly over the present comparison."""
        found = await asyncio.to_thread(administration.read_looks, name, most)
        return LookList(looks=[LookReply(at=at, results=results) for at, results in found])

    @router.get("/{name:no_colon}/phases")
    async def phases(name: Name, language: AskedLanguage) -> list[PhaseReply]:
        """All phases, the first one first."""
        return [
            describe_phase(p, language) for p in await asyncio.to_thread(administration.read_phases, name)
        ]

    @router.get("/{name:no_colon}/audit")
    async def audit(name: Name, language: AskedLanguage) -> AuditReply:
        """Who changed the experiment, when and why."""
        found = await asyncio.to_thread(administration.read_audit, name)
        return AuditReply(entries=[describe_entry(each, language) for each in found])


def feedback_routes(
    store: Store, ids: RequestIds, names: MetricNames, metrics: ExperimentMetrics, body_limit_bytes: int
) -> APIRouter:
    """The routes that take outcomes; an answer says that they are on the disk."""

    async def answer(receipt: BulkReceipt) -> ReceiptReply:
        unknown = await asyncio.to_thread(names.find_unknown, receipt.metrics)
        metrics.feedback.add(
            receipt.new, receipt.duplicate, receipt.refused, receipt.unmatched, unknown.count
        )
        return _describe_receipt(receipt, unknown)

    router = APIRouter(prefix=PREFIX, tags=["feedback"], responses=ERRORS)

    @router.post("/feedback", openapi_extra=FEEDBACK)
    async def feedback(request: Request) -> ReceiptReply:
        """Store one outcome of a request or a unit; sending it again is harmless."""
        row = await read_small_object(request.scope, request.receive)
        receipt = await asyncio.to_thread(accept, store, [parse_feedback(row, ids)])
        if receipt.refused:
            metrics.feedback.refused += 1
            raise FeedbackError(receipt.refused[0].reason)
        counts = receipt.new, receipt.duplicate, 0, ()
        return await answer(BulkReceipt(*counts, receipt.unmatched, receipt.metrics))

    @router.post("/feedback:bulk", openapi_extra=FEEDBACK_FILE)
    async def bulk(request: Request) -> ReceiptReply:
        """Store the outcomes of a file: JSON lines, CSV or Parquet, as its `Content-Type` says."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in READERS:
            expected = ", ".join(f"`{known}`" for known in READERS)
            raise MalformedRequestError(f"`Content-Type` is {quote(kind)}, expected one of: {expected}")
        headers = read_body_headers(request.scope)
        body = await read_body(request.scope, headers, request.receive, body_limit_bytes)
        rows = READERS[kind](BytesIO(body))
        return await answer(await asyncio.to_thread(accept_rows, store, rows, ids))

    return router


def _make_act(
    administration: Administration, act: Act, follow: Follow
) -> Callable[[str, Request], Awaitable[ExperimentReply]]:
    async def take(name: Name, request: Request) -> ExperimentReply:
        given = await read_small_object(request.scope, request.receive)
        reason, candidate = _read_text(given, "reason"), _read_text(given, "candidate")
        who = _who(request)
        taken = await asyncio.to_thread(administration.act, name, act, who, reason, candidate)
        await follow()
        return describe_experiment(taken)

    take.__doc__ = f"{act.capitalize()} the experiment; raises 409 where its stage does not allow that."
    return take


def _read_text(given: dict[str, Value], name: str) -> str:
    text = given.get(name, "")
    # PostgreSQL stores no text with a NUL.
    if not isinstance(text, str) or len(text) > MAX_REASON or "\0" in text:
        raise MalformedRequestError(
            f"`{name}` is {quote(text)}, expected a text of at most {MAX_REASON} characters without NUL"
        )
    return text


def _who(request: Request) -> str:
    """Who asks, as the audit trail names them."""
    return str(request.scope.get(CALLER) or "unknown")


def _describe_receipt(receipt: BulkReceipt, unknown: UnknownMetrics) -> ReceiptReply:
    return ReceiptReply(
        new=receipt.new,
        duplicate=receipt.duplicate,
        refused=receipt.refused,
        reasons=[RefusedReply(place=each.place, reason=each.reason) for each in receipt.reasons],
        unmatched=receipt.unmatched,
        unknown=unknown.count,
        unknown_metrics=[UnknownMetricReply(**asdict(each)) for each in unknown.most],
    )

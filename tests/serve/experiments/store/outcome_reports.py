"""Queries for outcomes, and reports of them, as tests of summaries make them."""

from typing import Any

from serve.experiments.store.database import Store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.outcome_queries import OutcomeQuery

START = 1_800_000_000_000_000


def query(kind: Any = "mean", **changes: Any) -> OutcomeQuery:
    return OutcomeQuery(**{"experiment": "e", "comparison": 1, "metric": "m", "kind": kind, **changes})


def report(store: Store, at: int, value: float, request: str | None = None, **changes: Any) -> None:
    """An outcome that is received as it happens."""
    usual = {"metric": "m", "value": value, "request_id": request, "at": at, "idempotency_key": f"{at}"}
    assert accept(store, [Feedback(**{**usual, **changes})], clock=lambda: at).refused == ()

"""The tables of the store, the same in SQLite and in PostgreSQL.

Times are whole microseconds since 1970 in UTC; units are 16-byte hashes (`serve.experiments.units`). SQLite's
tables are strict, so that both databases refuse a value of another type. `written_at` is when a row reached
the store: rows with an older one never appear later, but for those on their way (`slices.SETTLE`).
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

metadata = sa.MetaData()

_BIG: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_TEXT = sa.Text()
_BYTES = sa.LargeBinary()


def _table(name: str, *parts: sa.Column[Any] | sa.Index, rowid: bool = False) -> sa.Table:
    """A strict table; without rowids it is stored in the order of its primary key, and once."""
    return sa.Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=rowid)


def _column(name: str, kind: TypeEngine[Any], *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null)


def _key(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


schema_versions = _table("schema_versions", _key("version", _BIG), _column("applied_at", _BIG))

unit_keys = _table(
    "unit_keys",  # one row
    _key("id", _BIG),
    _column("fingerprint", _TEXT),
    _column("since", _BIG),
)

experiments = _table(
    "experiments",
    _key("name", _TEXT),
    _column("revision", _BIG),
    _column("definition", _TEXT),  # JSON
    _column("updated_at", _BIG),
)

phases = _table(
    "phases",
    _key("experiment", _TEXT),
    _key("number", _BIG),
    _column("comparison", _BIG),
    _column("stage", _TEXT),
    _column("step_percent", _REAL),
    _column("started_at", _BIG),
    _column("by", _TEXT),
    _column("reason", _TEXT),
    _column("promoted", _TEXT, null=True),  # the candidate that won
    _column("pins", _TEXT, null=True),  # JSON: by variant the model, version and digest that run for it
)

exposures = _table(
    "exposures",
    _key("experiment", _TEXT),
    _key("comparison", _BIG),
    _key("unit", _BYTES),
    _column("unit_kind", _TEXT),
    _column("variant", _TEXT),  # the first one that the unit met, by which it is analysed
    _column("first_at", _BIG),
    _column("switches", _BIG),  # how often, at least, it met another variant
    _column("written_at", _BIG),
)
# Indexes hold all columns that the queries by them read: a look-up in the table for each row costs as much.
sa.Index(
    "exposures_by_time",
    exposures.c.experiment,
    exposures.c.comparison,
    exposures.c.written_at,
    exposures.c.variant,
    exposures.c.first_at,
)
_switched = exposures.c.switches > sa.literal_column("0")
sa.Index(
    "exposures_switched",
    exposures.c.experiment,
    exposures.c.comparison,
    exposures.c.switches,
    sqlite_where=_switched,
    postgresql_where=_switched,
)

inferences = _table(
    "inferences",
    _key("request_id", _TEXT),
    _key("experiment", _TEXT),
    _key("variant", _TEXT),
    _column("comparison", _BIG),
    _column("phase", _BIG),
    _column("unit", _BYTES),
    _column("at", _BIG),
    _column("written_at", _BIG),
    _column("model", _TEXT),
    _column("version", _TEXT),
    _column("digest", _BYTES),
    _column("latency_us", _BIG),
    _column("status", _BIG),  # 0: answered; else the error's number
    _column("has_nan", _BIG),
    _column("is_shadow", _BIG),
    _column("top1", _BIG, null=True),
    _column("confidence", _REAL, null=True),
)
sa.Index("inferences_by_time", inferences.c.experiment, inferences.c.comparison, inferences.c.written_at)
sa.Index(
    "inferences_by_unit",
    inferences.c.experiment,
    inferences.c.comparison,
    inferences.c.unit,
    inferences.c.is_shadow,
)

outcomes = _table(
    "outcomes",
    _key("key", _BYTES),  # hash of the idempotency key
    _column("request_id", _TEXT, null=True),
    _column("unit", _BYTES, null=True),  # of the request where its id says so, or else without a request
    _column("number", _BIG, null=True),  # of the request's comparison (`request_ids`), where its id says so
    _column("metric", _TEXT),
    _column("value", _REAL),
    _column("event_at", _BIG),
    _column("received_at", _BIG),
)
_by_request, _by_unit = outcomes.c.request_id.is_not(None), outcomes.c.unit.is_not(None)
_ORDER = (outcomes.c.event_at, outcomes.c.received_at)
sa.Index(
    "outcomes_by_request",
    outcomes.c.request_id,
    outcomes.c.metric,
    outcomes.c.value,
    *_ORDER,
    outcomes.c.unit,
    sqlite_where=_by_request,
    postgresql_where=_by_request,
)
sa.Index(
    "outcomes_by_unit",
    outcomes.c.unit,
    outcomes.c.metric,
    outcomes.c.value,
    *_ORDER,
    outcomes.c.number,
    outcomes.c.request_id,
    sqlite_where=_by_unit,
    postgresql_where=_by_unit,
)
sa.Index("outcomes_by_time", outcomes.c.received_at)

samples = _table(
    "samples",
    _key("experiment", _TEXT),
    _key("request_id", _TEXT),
    _key("variant", _TEXT),
    _column("at", _BIG),
    _column("inputs", _BYTES),
    _column("outputs", _BYTES),
    rowid=True,  # large rows
)
sa.Index("samples_by_time", samples.c.at)

looks = _table(
    "looks",
    _key("experiment", _TEXT),
    _key("comparison", _BIG),
    _key("subject", _TEXT),  # such as a metric and a candidate
    _key("at", _BIG),
    _column("content", _TEXT),  # JSON
)

aliases = _table(
    "aliases",  # of models, where servers share the store
    _key("model", _TEXT),
    _key("alias", _TEXT),
    _column("version", _TEXT, null=True),  # null: removed
    _column("at", _BIG),
)

audit = _table(
    "audit",
    _key("id", _TEXT),  # time-ordered and unique without a counter
    _column("at", _BIG),
    _column("by", _TEXT),
    _column("action", _TEXT),
    _column("experiment", _TEXT),
    _column("detail", _TEXT),
)
sa.Index("audit_by_time", audit.c.at)

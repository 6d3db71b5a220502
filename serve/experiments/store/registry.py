"""The experiments of a store: their definitions, their phases, and who changed what.

Any number of servers share one registry. A change reads, decides and writes in one transaction that no other
change can come between, and its audit entry is stored with it or not at all.
"""

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from serve.engine.errors import quote
from serve.experiments.compatibility import require_separate
from serve.experiments.definition import Experiment
from serve.experiments.errors import DefinitionError, StoreError, UnknownExperimentError
from serve.experiments.findings import Memory
from serve.experiments.parsing import parse_experiment
from serve.experiments.stages import RUNNING, Change, Phase, Pin, amend, draft
from serve.experiments.store.database import Store, now
from serve.experiments.store.leases import Lease
from serve.experiments.store.tables import audit, experiments, looks, phases

log = logging.getLogger("adaptact")

MOST_ENTRIES = 10_000
"""Of the audit trail, in one answer."""
VERDICT = "verdict"
"""The subject of stored looks."""

Decide = Callable[[Experiment, Phase], Phase]
"""The next phase of an experiment in this one; raises `StageError` where there is none."""

Prepare = Callable[[Experiment, Phase], Phase]
"""What else is in the phase that an amended experiment begins."""


@dataclass(frozen=True, slots=True)
class Registered:
    """An experiment as it is now; every change raises the revision."""

    experiment: Experiment
    revision: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when (microseconds since 1970, UTC)."""

    at: int
    by: str
    action: str
    experiment: str
    detail: str


class Registry:
    """The experiments of a store. Every method raises `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_revisions(self) -> dict[str, int]:
        """The revision of each experiment: cheap enough to be asked every second."""
        with self._store.read() as connection:
            rows = connection.execute(sa.select(experiments.c.name, experiments.c.revision))
            return {name: revision for name, revision in rows}

    def read_all(self) -> tuple[Registered, ...]:
        """Every experiment, by name; one that this program cannot read is left out, and logged."""
        found = []
        with self._store.read() as connection:
            for name in _list_names(connection):
                try:
                    found.append(_read(connection, name))
                except StoreError as error:
                    log.error("%s", error)
        return tuple(found)

    def read(self, name: str) -> Registered:
        """The experiment; raises `UnknownExperimentError`."""
        with self._store.read() as connection:
            return _read(connection, name)

    def read_phases(self, name: str) -> tuple[Phase, ...]:
        """All phases of the experiment, the first one first; raises `UnknownExperimentError`."""
        with self._store.read() as connection:
            _require_known(connection, name)
            query = sa.select(phases).where(phases.c.experiment == name).order_by(phases.c.number)
            return tuple(_make_phase(row) for row in connection.execute(query).mappings())

    def define(
        self,
        experiment: Experiment,
        change: Change,
        prepare: Prepare = lambda experiment, phase: phase,
    ) -> Registered:
        """The experiment is a draft if it is new, and else amended; as it was if nothing changes.

        `prepare` is given the amended experiment and its phase, and what it raises prevents the change.
        Raises `StageError` where its stage allows no change, and `DefinitionError` where it runs and would
        have units in common with another that does.
        """
        with self._store.write() as connection:
            if self._insert(connection, experiment, change):
                first = draft(change)
                _insert_phase(connection, experiment.name, first)
                _insert_audit(connection, change, "define", experiment.name, first)
                return Registered(experiment, 1, first)
            before = self._lock(connection, experiment.name)
            if before.experiment == experiment:
                return before
            after = prepare(experiment, amend(before.experiment, before.phase, change, experiment))
            return _change(connection, Registered(experiment, before.revision + 1, after), change, "amend")

    def act(self, name: str, action: str, change: Change, decide: Decide) -> Registered:
        """The experiment in the phase that `decide` gives, which is called with what is true at that moment.

        Raises `UnknownExperimentError`, `StageError` as `decide` does, and `DefinitionError` where it would
        have units in common with another that runs.
        """
        with self._store.write() as connection:
            before = self._lock(connection, name)
            after = decide(before.experiment, before.phase)
            changed = Registered(before.experiment, before.revision + 1, after)
            return _change(connection, changed, change, action)

    def agree(self, name: str, change: Change) -> None:
        """The audit trail says, once, that this author wants the experiment as it is now."""
        of_author = audit.c.experiment == name, audit.c.by == change.by
        query = sa.select(audit.c.detail).where(*of_author).order_by(audit.c.at.desc(), audit.c.id.desc())
        with self._store.write() as connection:
            phase = self._lock(connection, name).phase
            newest = connection.execute(query.limit(1)).scalar()
            if newest is None or not newest.endswith(change.reason):
                _insert_audit(connection, change, "define", name, phase)

    def _insert(self, connection: sa.Connection, experiment: Experiment, change: Change) -> bool:
        """Whether the experiment is new, and so now there."""
        row = {"name": experiment.name, "revision": 1, "definition": experiment.model_dump_json()}
        statement = self._store.insert(experiments).values(**row, updated_at=change.at)
        new = statement.on_conflict_do_nothing().returning(experiments.c.name)
        return connection.execute(new).first() is not None

    def _lock(self, connection: sa.Connection, name: str) -> Registered:
        """The experiment; no other change can reach it, or start another one, until this one is over."""
        if not self._store.is_sqlite:  # whose writing transactions are alone
            query = sa.select(experiments.c.name).order_by(experiments.c.name)
            connection.execute(query.with_for_update())
        return _read(connection, name)

    def read_audit(self, name: str | None = None, most: int = MOST_ENTRIES) -> tuple[AuditEntry, ...]:
        """The newest entries, of one experiment or of all, the newest first."""
        query = sa.select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(most)
        if name is not None:
            query = query.where(audit.c.experiment == name)
        with self._store.read() as connection:
            return tuple(
                AuditEntry(row["at"], row["by"], row["action"], row["experiment"], row["detail"])
                for row in connection.execute(query).mappings()
            )

    def make_lease(self, work: str, clock: Callable[[], int] = now) -> Lease:
        """By which one process of all that share the registry does this work."""
        return Lease(self._store, work, clock)

    def keep_look(self, name: str, comparison: int, at: int, content: Mapping[str, Any]) -> None:
        """Store what a look at an experiment has shown, in types of JSON.

        Its time is after those of all looks before, also where a clock was set back: the newest one holds
        what all of them have shown.
        """
        where = _is_look(name, comparison)
        row = {"experiment": name, "comparison": comparison, "subject": VERDICT}
        statement = self._store.insert(looks).on_conflict_do_nothing()
        with self._store.write() as connection:
            newest = connection.execute(sa.select(sa.func.max(looks.c.at)).where(*where)).scalar()
            row |= {"at": max(at, (newest or 0) + 1), "content": json.dumps(content, allow_nan=False)}
            connection.execute(statement, [row])

    def read_looks(self, name: str, comparison: int, most: int = 1000) -> list[tuple[int, dict[str, Any]]]:
        """The newest looks and when they were taken, the oldest of them first."""
        query = sa.select(looks.c.at, looks.c.content).where(*_is_look(name, comparison))
        query = query.order_by(looks.c.at.desc()).limit(most)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [(at, json.loads(content)) for at, content in reversed(rows)]

    def read_looks_over_time(self, name: str, comparison: int, most: int) -> list[tuple[int, dict[str, Any]]]:
        """Looks spread evenly over the comparison, `most` + 1 of them at most, the last one among them."""
        where = _is_look(name, comparison)
        with self._store.read() as connection:
            ends = sa.select(sa.func.min(looks.c.at), sa.func.max(looks.c.at)).where(*where)
            first, last = connection.execute(ends).one()
            if first is None:
                return []
            width = (last - first) // most + 1
            latest = sa.select(sa.func.max(looks.c.at)).where(*where).group_by((last - looks.c.at) // width)
            query = sa.select(looks.c.at, looks.c.content).where(*where, looks.c.at.in_(latest))
            rows = connection.execute(query.order_by(looks.c.at)).all()
        return [(at, json.loads(content)) for at, content in rows]

    def read_memory(self, name: str, comparison: int) -> Memory:
        """What all looks so far have shown; nothing before the first one."""
        newest = self.read_looks(name, comparison, most=1)
        return Memory.from_json(newest[0][1]["memory"]) if newest else Memory()


def _is_look(name: str, comparison: int) -> tuple[sa.ColumnElement[bool], ...]:
    return looks.c.experiment == name, looks.c.comparison == comparison, looks.c.subject == VERDICT


def _read(connection: sa.Connection, name: str) -> Registered:
    row = connection.execute(sa.select(experiments).where(experiments.c.name == name)).mappings().first()
    if row is None:
        raise UnknownExperimentError(name, _list_names(connection))
    return Registered(_parse(name, row["definition"]), row["revision"], _read_phase(connection, name))


def _parse(name: str, definition: str) -> Experiment:
    try:
        return parse_experiment(json.loads(definition))
    except DefinitionError as error:
        raise StoreError(
            f"experiment {quote(name)} does not run here, since another version of adaptact defined it: "
            f"{error}; run that version, on all servers of the store"
        ) from error


def _read_phase(connection: sa.Connection, name: str) -> Phase:
    newest = sa.select(phases).where(phases.c.experiment == name).order_by(phases.c.number.desc()).limit(1)
    return _make_phase(connection.execute(newest).mappings().one())


def _require_known(connection: sa.Connection, name: str) -> None:
    if connection.execute(sa.select(experiments.c.name).where(experiments.c.name == name)).first() is None:
        raise UnknownExperimentError(name, _list_names(connection))


def _list_names(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(experiments.c.name).order_by(experiments.c.name)).scalars())


def _make_phase(row: sa.RowMapping) -> Phase:
    pins = {variant: Pin(*pin) for variant, pin in json.loads(row["pins"] or "{}").items()}
    return Phase(**{**{field: row[field] for field in Phase.__slots__}, "pins": pins})


def _change(connection: sa.Connection, after: Registered, change: Change, action: str) -> Registered:
    name = after.experiment.name
    if after.phase.stage in RUNNING:
        _require_alone(connection, after.experiment)
    connection.execute(
        sa.update(experiments)
        .where(experiments.c.name == name)
        .values(revision=after.revision, definition=after.experiment.model_dump_json(), updated_at=change.at)
    )
    _insert_phase(connection, name, after.phase)
    _insert_audit(connection, change, action, name, after.phase)
    return after


def _require_alone(connection: sa.Connection, experiment: Experiment) -> None:
    """No unit can meet both this experiment and another one that runs."""
    others = (name for name in _list_names(connection) if name != experiment.name)
    running = [name for name in others if _read_phase(connection, name).stage in RUNNING]
    require_separate([*(_read(connection, name).experiment for name in running), experiment])


def _insert_phase(connection: sa.Connection, name: str, phase: Phase) -> None:
    values = {field: getattr(phase, field) for field in Phase.__slots__}
    row = {"experiment": name, **values, "pins": json.dumps(phase.pins)}
    connection.execute(sa.insert(phases), [row])


def _insert_audit(connection: sa.Connection, change: Change, action: str, name: str, phase: Phase) -> None:
    step = f" at {phase.step_percent:g} %" if phase.step_percent else ""
    reason = f": {change.reason}" if change.reason else ""
    detail = f"phase {phase.number}, {phase.stage}{step}{reason}"
    # In the order of time and phases; random beyond that, since many servers write at once.
    key = f"{change.at:016x}{phase.number:08x}{secrets.token_hex(8)}"
    entry = {"id": key, "at": change.at, "by": change.by, "action": action}
    connection.execute(sa.insert(audit), [{**entry, "experiment": name, "detail": detail}])

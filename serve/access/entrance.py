"""What every request of every door passes: the gate, and the audit log of what administrators do."""

from dataclasses import dataclass, field
from pathlib import Path

from serve.access.audit import AuditLog
from serve.access.gate import Gate
from serve.access.limits import ClientLimits


@dataclass(frozen=True, slots=True)
class Entrance:
    """One for all doors, so that a client's limit counts whichever it takes."""

    gate: Gate = field(default_factory=Gate)
    audit: AuditLog = field(default_factory=AuditLog)


def open_entrance(
    keys: Path | None,
    requests_per_second: float,
    audit_log: Path | None,
    limits: ClientLimits | None = None,
) -> Entrance:
    """The entrance with these keys, limit and log; raises `StartupError` where a file cannot be."""
    return Entrance(Gate(keys, requests_per_second, limits), AuditLog(audit_log))

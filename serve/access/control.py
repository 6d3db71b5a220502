"""Access control: who calls, whether they may, how often, and the audit log of what administrators did."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from serve.access.allowance import Allowance
from serve.access.audit_pages import EVERYTHING, AuditFilter, AuditPage, read_audit_page
from serve.access.errors import AccessError, AuditError, KeyRequiredError, RoleRequiredError
from serve.access.keys import Key, KeysFile, Role
from serve.access.limits import ClientLimits
from serve.access.log_file import LogFile
from serve.access.proxies import Proxies, parse_address
from serve.engine.errors import StartupError

log = logging.getLogger("adaptact.audit")
log.setLevel(logging.INFO)  # whatever the server's own log leaves out, since this may be the only record

SCHEME = "bearer "
NO_PROXIES = Proxies()
AUDIT_MODE = 0o666  # less the operator's umask
# Of refused requests that anybody may send: in each process.
STRANGERS_AT_ONCE, STRANGER_SECONDS = 100, 10.0
RequiredRole: TypeAlias = Role | Literal["free"]
"""What a request needs: a role, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as logs may name them: by the key's name, or else by the address."""

    name: str
    has_key: bool = False


class Authorizer:
    """Admits requests by key, role and limit.

    Without a keys file anybody may infer, read metrics and report outcomes, and only this machine may
    administer. With a keys file every request needs a key with the role; `is_local_admin` excepts
    administration from this machine.
    """

    def __init__(
        self,
        keys: Path | None = None,
        requests_per_second: float = 0.0,
        limits: ClientLimits | None = None,
        is_local_admin: bool = False,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        """Read the keys file, if there is one; raises `KeysFileError`. Without `limits` it counts alone."""
        self._keys = KeysFile(keys) if keys is not None else None
        self._requests_per_second = requests_per_second
        self._limits = limits or ClientLimits()
        self.is_local_admin = is_local_admin or keys is None
        self.proxies = proxies
        self.on_refusal: Callable[[AccessError], None] = _ignore

    @property
    def is_open(self) -> bool:
        """Whether there are neither keys nor limits, so that every caller may infer."""
        return self._keys is None and not self._requests_per_second

    @property
    def has_keys(self) -> bool:
        """Whether there is a keys file."""
        return self._keys is not None

    def admit(self, role: Role, authorization: str | None, address: str | None) -> Caller:
        """The caller; raises `AccessError`, after a call of `on_refusal`.

        The address is None for a local socket.
        """
        try:
            return self._authorize(role, authorization, address)
        except AccessError as error:
            self.on_refusal(error)
            raise

    def still_admits(self, role: Role, authorization: str | None, address: str | None) -> bool:
        """Whether the sender of a request that was admitted has the role yet; nothing counts this look."""
        try:
            self._require(role, authorization, address)
        except AccessError:
            return False
        return True

    def _authorize(self, role: Role, authorization: str | None, address: str | None) -> Caller:
        key = self._require(role, authorization, address)
        if key is None:
            caller = Caller(_name_address(address))
            self._limits.take(caller.name, self._requests_per_second)
            return caller
        self._limits.take(f"key {key.name}", key.requests_per_second or self._requests_per_second)
        return Caller(key.name, has_key=True)

    def _require(self, role: Role, authorization: str | None, address: str | None) -> Key | None:
        """The key that gives the role, None where it needs none; raises `AccessError` without the role."""
        key = self._key(authorization)
        if key is None:
            self._require_keyless(role, address)
        elif role not in key.roles:
            raise RoleRequiredError(key.name, role)
        return key

    def identify(self, authorization: str | None, address: str | None) -> Caller:
        """Who calls, whether or not they may: for the log of refused requests."""
        try:
            key = self._key(authorization)
        except KeyRequiredError:
            key = None
        return Caller(_name_address(address)) if key is None else Caller(key.name, has_key=True)

    def find_roles(self, authorization: str | None, address: str | None) -> tuple[Caller, frozenset[Role]]:
        """Who calls, and the roles they have; raises `KeyRequiredError` for an unknown key."""
        try:
            key = self._key(authorization)
        except AccessError as error:
            self.on_refusal(error)
            raise
        if key is not None:
            return Caller(key.name, has_key=True), key.roles
        roles: set[Role] = set() if self.has_keys else {"infer", "metrics", "feedback"}
        if self.is_local_admin and is_this_machine(address):
            roles.add("admin")
        return Caller(_name_address(address)), frozenset(roles)

    def _key(self, authorization: str | None) -> Key | None:
        """The caller's key, None without one; raises `KeyRequiredError` for an unknown key."""
        if self._keys is None or authorization is None:
            return None
        if authorization[: len(SCHEME)].lower() != SCHEME:
            raise KeyRequiredError("`Authorization` is not `Bearer` and a key")
        key = self._keys.find(authorization[len(SCHEME) :].strip())
        if key is None:
            raise KeyRequiredError("the key in `Authorization` is not one of this server's")
        return key

    def _require_keyless(self, role: Role, address: str | None) -> None:
        """Raises `KeyRequiredError` where the role needs a key."""
        if role == "admin" and self.is_local_admin:
            if not is_this_machine(address):
                raise KeyRequiredError(
                    "models and settings are changed from this machine, or with a key of role `admin`"
                )
        elif self._keys is not None:
            raise KeyRequiredError("this server needs a key: send `Authorization: Bearer` and the key")


class AuditLog:
    """Lines appended to a file, or without one to the server's own log: two for each action that is done.

    The first is written before the action. A second one that cannot be written is in the server's log.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file; raises `StartupError` where that fails."""
        self._path = path
        self._strangers = Allowance(STRANGERS_AT_ONCE, STRANGER_SECONDS)
        self._left_out = 0
        self._file: LogFile | None = None
        if path is not None:
            try:
                self._file = LogFile(path, AUDIT_MODE)
            except OSError as error:
                raise StartupError(f"the audit log `{path}` cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def has_file(self) -> bool:
        """Whether it can be read back."""
        return self._path is not None

    def read(self, most: int, before: str = "", wanted: AuditFilter = EVERYTHING) -> AuditPage:
        """The last actions of the file, or those before a page's `next`; raises as `read_audit_page`.

        Only where it has a file.
        """
        assert self._path is not None
        return read_audit_page(self._path, most, before, wanted)

    def begin(self, caller: str, action: str, request_id: str) -> None:
        """Append a line without a status before the action is done; raises `AuditError` where that fails."""
        line = _format_line(caller, action, None, request_id)
        try:
            self._append(line)
        except OSError as error:
            log.error("the audit log cannot be written (%s), so this is refused: %s", error.strerror, line)
            raise AuditError(
                f"the audit log cannot be written ({error.strerror}), so nothing was done; free its disk, or "
                "make it writable, and send the request again"
            ) from error

    def record(self, caller: str, action: str, status: int, request_id: str) -> None:
        """Append a line: when, who, which action, and the status of its answer."""
        line = _format_line(caller, action, status, request_id)
        try:
            self._append(line)
        except OSError as error:
            log.error("the audit log cannot be written (%s): %s", error.strerror, line)

    def record_stranger(self, caller: str, action: str, status: int, request_id: str) -> None:
        """The same of a request that was refused for want of a key, or to a page of another site.

        Where too many come, they are counted only: else anybody could fill the disk, and bury what was done.
        """
        if not self._strangers.take():
            self._left_out += 1
            return
        if self._left_out:
            log.warning("%d refused requests of strangers are not in the audit log", self._left_out)
            self._left_out = 0
        self.record(caller, action, status, request_id)

    def _append(self, line: str) -> None:
        if self._file is None:
            log.info("%s", line)
        else:
            self._file.write(f"{line}\n".encode())


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The authorizer and the audit log that REST and gRPC share, so that both count in one limit."""

    authorizer: Authorizer = field(default_factory=Authorizer)
    audit_log: AuditLog = field(default_factory=AuditLog)


def open_access_control(
    keys: Path | None,
    requests_per_second: float,
    audit_log: Path | None,
    limits: ClientLimits | None = None,
    is_local_admin: bool = False,
    proxies: Proxies = NO_PROXIES,
) -> AccessControl:
    """Access control with these keys, limits and log; raises `StartupError` where a file cannot be used."""
    authorizer = Authorizer(keys, requests_per_second, limits, is_local_admin, proxies)
    return AccessControl(authorizer, AuditLog(audit_log))


def is_this_machine(address: str | None) -> bool:
    """Whether the address is of this machine."""
    if address is None:
        return True
    ip = parse_address(address)
    return ip is not None and ip.is_loopback


def _format_line(caller: str, action: str, status: int | None, request_id: str) -> str:
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": caller,
            "action": action,
            "status": status,
            "request_id": request_id,
        }
    )


def _name_address(address: str | None) -> str:
    return address or "this machine"


def _ignore(error: AccessError) -> None:
    """No refusal is counted."""

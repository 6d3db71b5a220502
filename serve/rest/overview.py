"""What the console's first pages ask: who the reader is, every version, and the audit log."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from adaptact.languages.catalogue import Language
from convert.manifest.providers import ProviderChoiceRecord
from serve.access.audit_pages import AuditFilter, AuditPage, Outcome
from serve.access.control import AccessControl
from serve.access.keys import Role
from serve.engine.catalogue import IndexEntry, State
from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.manifest import Strength
from serve.rest.access import list_roles
from serve.rest.language import AskedLanguage, tell
from serve.rest.schemas import ERRORS

PREFIX = "/adaptact/v1"
MOST_LINES = 500
NO_FILE = "the audit log is not in a file: start the server with `--audit-log`"
SignatureState: TypeAlias = Literal["verified", "unverified", "none"]


class Reader(BaseModel):
    """Who asks, by the name of the key or else by the address, and what they may do."""

    name: str
    roles: list[Role]
    has_key: bool
    needs_key: bool
    """Whether the server has keys."""
    experiments: bool
    """Whether it has a store of experiments."""
    audit: bool
    """Whether its audit log can be read."""


class VersionOverview(BaseModel):
    """A version in the models folder; what its file says is null where it is not loaded."""

    name: str
    version: str
    state: State
    reason: str
    is_default: bool
    """Whether it answers requests that name no version."""
    aliases: list[str]
    provider: str | None = None
    threads: int | None = None
    """Of one run."""
    choice: ProviderChoiceRecord | None = None
    """How its provider was chosen; null where that was not measured."""
    parity: Strength | None = None
    signature: SignatureState | None = None
    signer: str | None = None
    """The fingerprint of the key that the file names as its signer."""
    digest: str | None = None
    """SHA-256 of its files; null without experiments, measured providers and a state folder."""
    bytes: int | None = None
    """The size of its files."""


class Overview(BaseModel):
    """Every version, by name and then by version."""

    models: list[VersionOverview]


def overview_routes(engine: Engine, *, is_verified: bool) -> APIRouter:
    """The route of every version.

    `is_verified` if nothing is served but what a required key has signed.
    """
    router = APIRouter(prefix=f"{PREFIX}/models", tags=["models"], responses=ERRORS)

    @router.get("")
    async def overview(language: AskedLanguage) -> Overview:
        """Every version in the models folder: its state, and in short what its file says of itself."""
        versions = [_describe_entry(engine, entry) for entry in engine.index()]
        for version in versions:
            if version.bytes is not None:
                version.signature = _judge_signature(version.signer, is_verified=is_verified)
        if language != "en":
            await asyncio.to_thread(_tell_reasons, versions, language)
        return Overview(models=versions)

    return router


def reader_routes(access: AccessControl, *, has_experiments: bool) -> APIRouter:
    """The route of who asks."""
    router = APIRouter(prefix=f"{PREFIX}/me", tags=["server"], responses=ERRORS)

    @router.get("")
    async def me(request: Request) -> Reader:
        """Who asks, and what they may do; without a key too."""
        caller, roles = list_roles(access.authorizer, request.scope)
        return Reader(
            name=caller.name,
            roles=roles,
            has_key=caller.has_key,
            needs_key=access.authorizer.has_keys,
            experiments=has_experiments,
            audit=access.audit_log.has_file,
        )

    return router


def audit_routes(access: AccessControl) -> APIRouter:
    """The route of the audit log."""
    router = APIRouter(prefix=f"{PREFIX}/audit", tags=["server"], responses=ERRORS)

    @router.get("")
    async def audit(
        limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
        before: Annotated[str, Query(max_length=40, description="`next` of an earlier answer.")] = "",
        text: Annotated[str, Query(max_length=200, description="Words, all of which the actions have.")] = "",
        outcome: Outcome | None = None,
    ) -> AuditPage:
        """The last actions of the audit log, the newest first, also those in files that were moved away."""
        if not access.audit_log.has_file:
            raise HTTPException(404, NO_FILE)
        return await asyncio.to_thread(access.audit_log.read, limit, before, AuditFilter(text, outcome))

    return router


def _tell_reasons(versions: Sequence[VersionOverview], language: Language) -> None:
    for version in versions:
        version.reason = tell(version.reason, language)


def _describe_entry(engine: Engine, entry: IndexEntry) -> VersionOverview:
    aliases = engine.aliases(entry.name).items()
    version = VersionOverview(
        name=entry.name,
        version=entry.version,
        state=entry.state,
        reason=entry.reason,
        is_default=False,
        aliases=sorted(alias for alias, meant in aliases if meant == entry.version),
    )
    try:
        model = engine.model(entry.name, entry.version)
    except EngineError:
        return version  # it is not loaded
    version.parity, version.signer = model.parity, model.signer
    version.digest, version.bytes = model.digest or None, model.file_bytes
    version.provider, version.threads, version.choice = model.provider, model.threads, model.choice
    with suppress(EngineError):  # `stable` may mean a version that is gone
        version.is_default = engine.model(entry.name) is model
    return version


def _judge_signature(signer: str | None, *, is_verified: bool) -> SignatureState:
    if is_verified:
        return "verified"
    return "none" if signer is None else "unverified"

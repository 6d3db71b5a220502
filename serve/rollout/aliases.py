"""The aliases of models as all servers of one database have them."""

import asyncio
import logging

from serve.engine.aliases import STABLE, require_alias, require_served
from serve.engine.engine import Engine
from serve.engine.errors import EngineError, quote
from serve.experiments.store.aliases import AliasTable, StoredAlias
from serve.experiments.store.database import now

log = logging.getLogger("adaptact")


class SharedAliases:
    """Sets aliases for all servers, and follows what others set; `follow` is called by one thread.

    Of each alias, the wish that reached the database last holds. What an experiment has decided about
    `stable` since then goes before it.
    """

    def __init__(self, engine: Engine, table: AliasTable) -> None:
        self._engine = engine
        self._table = table
        self._reported: set[StoredAlias] = set()

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """As of `Engine`, at this server at once and at all others once they follow; raises `StoreError`."""
        require_alias(name, alias, self._engine.aliases(name))
        require_served(name, alias, version, self._engine.versions(name))
        at = await self._put(StoredAlias(name, alias, version, self._choose_time(name)))
        await self._engine.set_alias(name, alias, version, at)

    async def remove_alias(self, name: str, alias: str) -> None:
        """As of `Engine`, at this server at once and at all others once they follow; raises `StoreError`."""
        at = await self._put(StoredAlias(name, alias, None, self._choose_time(name)))
        if alias in self._engine.aliases(name):  # else it was followed meanwhile
            await self._engine.remove_alias(name, alias, at)

    def follow(self) -> None:
        """This process has the database's aliases, but for those of versions that do not answer here yet.

        Raises `StoreError`.
        """
        refused = set()
        for wanted in self._table.read():
            if self._is_followed(wanted):
                continue
            try:
                self._engine.point_alias(wanted.model, wanted.alias, wanted.version, wanted.at)
            except EngineError as error:
                refused.add(wanted)
                if wanted not in self._reported:
                    log.error("alias %s of %s: %s", quote(wanted.alias), quote(wanted.model), error)
        self._reported = refused

    def _is_followed(self, wanted: StoredAlias) -> bool:
        if wanted.alias == STABLE:
            return wanted.at <= self._engine.alias_since(wanted.model)
        return self._engine.aliases(wanted.model).get(wanted.alias) == wanted.version

    def _choose_time(self, name: str) -> int:
        return max(now(), self._engine.alias_since(name) + 1)

    async def _put(self, wanted: StoredAlias) -> int:
        return await asyncio.to_thread(self._table.put, wanted)

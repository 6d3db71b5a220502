"""A store belongs to the key that its units are hashed under: to another one all of them are strangers."""

import hmac
from pathlib import Path

import sqlalchemy as sa

from serve.engine.errors import quote
from serve.experiments.errors import StoreError
from serve.experiments.store.database import Store, now
from serve.experiments.store.tables import unit_keys
from serve.experiments.units import KEY_FILE

_PURPOSE = b"adaptact: fingerprint of the key of units"
_ONLY = 1


def fingerprint(key: bytes) -> str:
    """What tells keys apart, and says nothing of them."""
    return hmac.digest(key, _PURPOSE, "sha256")[:8].hex()


def require_key(store: Store, key: bytes, folder: Path) -> None:
    """The store's units are hashed under this key, of the folder; a store without a key takes this one.

    Raises `StoreError`, also where the key is another.
    """
    got = fingerprint(key)
    row = {"id": _ONLY, "fingerprint": got, "since": now()}
    with store.write() as connection:
        connection.execute(store.insert(unit_keys).values(**row).on_conflict_do_nothing())
        expected = connection.execute(sa.select(unit_keys.c.fingerprint)).scalar_one()
    if expected != got:
        raise StoreError(
            f"the store `{store.where}` has units of another key: expected the key with fingerprint "
            f"{quote(expected)}, got {quote(got)} from {quote(str(folder / KEY_FILE))}; copy the file of the "
            "server, or beside the backup, that the store is from, since all machines on a store need the "
            "same; where it is lost, begin with a new store"
        )

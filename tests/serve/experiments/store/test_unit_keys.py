"""A store and the key of its units belong together."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from serve.experiments.errors import StoreError
from serve.experiments.store.backup import back_up, restore
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.tables import schema_versions, unit_keys
from serve.experiments.store.unit_keys import fingerprint, require_key

KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_store_takes_its_first_key_and_refuses_another(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        require_key(store, KEY, tmp_path)
    with pytest.raises(StoreError) as caught:
        require_key(store, OTHER, tmp_path)
    message = str(caught.value)
    assert f"expected the key with fingerprint `{fingerprint(KEY)}`" in message
    assert f"got `{fingerprint(OTHER)}` from `{tmp_path / 'unit.key'}`" in message
    assert "copy the file" in message
    require_key(store, KEY, tmp_path)


def test_a_restored_store_needs_the_key_of_the_one_before(store: Store, tmp_path: Path) -> None:
    require_key(store, KEY, tmp_path)
    back_up(store, tmp_path / "backup.db")
    other = open_store(tmp_path / "restored")
    restore(tmp_path / "backup.db", other)
    with pytest.raises(StoreError, match="has units of another key"):
        require_key(other, OTHER, tmp_path)
    require_key(other, KEY, tmp_path)
    other.close()


def test_a_store_of_before_takes_the_key_of_its_first_server(unmade: str, tmp_path: Path) -> None:
    older = open_store(unmade)
    with older.write() as connection:
        unit_keys.drop(connection)
        connection.execute(sa.text("ALTER TABLE phases DROP COLUMN pins"))
        connection.execute(schema_versions.delete().where(schema_versions.c.version > 1))
    older.close()
    store = open_store(unmade)
    require_key(store, KEY, tmp_path)
    with pytest.raises(StoreError):
        require_key(store, OTHER, tmp_path)
    store.close()

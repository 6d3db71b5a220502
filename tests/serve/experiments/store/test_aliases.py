from serve.experiments.store.aliases import AliasTable, StoredAlias
from serve.experiments.store.database import Store


def test_the_last_wish_holds_whatever_the_clocks_say(store: Store) -> None:
    table = AliasTable(store)
    assert table.put(StoredAlias("digits", "stable", "2", at=1000)) == 1000
    assert table.put(StoredAlias("digits", "stable", "1", at=10)) == 1001  # of a server whose clock is slow
    assert table.put(StoredAlias("digits", "canary", None, at=500)) == 500
    assert table.read() == [
        StoredAlias("digits", "canary", None, 500),
        StoredAlias("digits", "stable", "1", 1001),
    ]

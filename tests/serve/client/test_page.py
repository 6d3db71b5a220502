"""docs/client.md: its code runs, and its tables say what is."""

import pytest

from serve.client import Client
from serve.client.errors import KINDS, ClientError
from tests.serve.pages import read_first_cells, read_page


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_every_status_stands_in_the_row_of_its_error(status: int, kind: type[ClientError]) -> None:
    assert str(int(status)) in read_first_cells("client")[kind.__name__]


def test_every_method_is_on_the_page() -> None:
    methods = [name for name in vars(Client) if not name.startswith("_")]
    text = read_page("client")
    assert [name for name in methods if f"`{name}(" not in text and f"{name}()" not in text] == []

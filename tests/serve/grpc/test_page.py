"""docs/grpc.md: its code runs, and its tables say what is."""

from serve.grpc.errors import CODE
from serve.grpc.messages import PROTOCOL, find_service
from tests.serve.pages import read_first_cells, read_page


def test_every_code_is_on_the_page() -> None:
    assert {code.name for code in CODE.values()} <= set(read_first_cells("grpc"))


def test_every_method_is_on_the_page() -> None:
    methods = [*find_service(PROTOCOL).methods_by_name, "Check", "Watch"]
    assert [method for method in methods if f"`{method}`" not in read_page("grpc")] == []

"""docs/grpc.md: its code runs, and its tables say what is."""

import pytest

from serve.grpc.errors import CODE
from serve.grpc.messages import PROTOCOL, find_service
from tests.serve.grpc.running import Running
from tests.serve.pages import blocks, first_cells, page


@pytest.mark.parametrize("code", blocks("grpc"))
def test_every_block_runs(code: str, door: Running, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code.replace("localhost:8001", door.address), "grpc.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out == "[[2. 2. 2.]]\n"


def test_every_code_is_on_the_page() -> None:
    assert {code.name for code in CODE.values()} <= set(first_cells("grpc"))


def test_every_method_is_on_the_page() -> None:
    methods = [*find_service(PROTOCOL).methods_by_name, "Check", "Watch"]
    assert [method for method in methods if f"`{method}`" not in page("grpc")] == []

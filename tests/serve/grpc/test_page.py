"""docs/grpc.md: its code runs, and its tables say what is."""

import pytest

from serve.grpc.errors import CODE
from serve.grpc.messages import PROTOCOL, find_service
from tests.serve.grpc.running import Running
from tests.serve.pages import read_code_blocks, read_first_cells, read_page


@pytest.mark.slow
@pytest.mark.parametrize("code", read_code_blocks("grpc"))
def test_every_block_runs(code: str, grpc_server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    exec(
        compile(code.replace("localhost:8001", grpc_server.address), "grpc.md", "exec"), {"__name__": "page"}
    )
    assert capsys.readouterr().out == "[[2. 2. 2.]]\n"


def test_every_code_is_on_the_page() -> None:
    assert {code.name for code in CODE.values()} <= set(read_first_cells("grpc"))


def test_every_method_is_on_the_page() -> None:
    methods = [*find_service(PROTOCOL).methods_by_name, "Check", "Watch"]
    assert [method for method in methods if f"`{method}`" not in read_page("grpc")] == []

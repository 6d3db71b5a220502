"""The internals of uvicorn that the subclasses in serve/rest rest on are there, as they were written for."""

import asyncio
import inspect
import logging
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from serve.rest.connection import Connection
from serve.rest.http import BoundedHttpProtocol
from serve.rest.server import Server as OwnServer

HINT = (
    "uvicorn {version} changed {what}. Compare its `protocols/http/httptools_impl.py`, `flow_control.py` and "
    "`server.py` with what serve/rest/connection.py, http.py and server.py override or copy: "
    "`data_received`, `on_body`, `on_message_complete`, `on_response_complete`, `RequestResponseCycle.send`, "
    "`Server.shutdown`. Then update them, the table in this file, and the bound of uvicorn in pyproject.toml."
)
# By class and method: the parameters after self.
METHODS = {
    (HttpToolsProtocol, "connection_made"): ["transport"],
    (HttpToolsProtocol, "connection_lost"): ["exc"],
    (HttpToolsProtocol, "data_received"): ["data"],
    (HttpToolsProtocol, "on_headers_complete"): [],
    (HttpToolsProtocol, "on_body"): ["body"],
    (HttpToolsProtocol, "on_message_complete"): [],
    (HttpToolsProtocol, "on_response_complete"): [],
    (HttpToolsProtocol, "_start_asgi_task"): ["cycle", "app"],
    (HttpToolsProtocol, "shutdown"): [],
    (FlowControl, "__init__"): ["transport"],
    (FlowControl, "pause_reading"): [],
    (FlowControl, "resume_reading"): [],
    (Server, "startup"): ["sockets"],
    (Server, "shutdown"): ["sockets"],
    (Server, "on_tick"): ["counter"],
    (Server, "handle_exit"): ["sig", "frame"],
}
PROTOCOL = (
    *("app", "client", "config", "connections", "cycle", "flow", "headers", "parser", "pipeline", "scope"),
    *("server_state", "tasks", "timeout_keep_alive", "transport"),
)
CYCLE = (
    *("body", "default_headers", "disconnected", "flow", "keep_alive", "message_event", "more_body"),
    *("on_response", "response_complete", "response_started", "scope", "transport"),
    "waiting_for_100_continue",
)
OWN = ((Connection, HttpToolsProtocol), (BoundedHttpProtocol, HttpToolsProtocol), (OwnServer, Server))
OVERRIDDEN = {
    (base, name)
    for own, base in OWN
    for name, value in vars(own).items()
    if inspect.isfunction(value) and hasattr(base, name) and name != "__init__"
}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def hint(what: str) -> str:
    return HINT.format(version=uvicorn.__version__, what=what)


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_has_its_parameters(owner: type, name: str) -> None:
    method = getattr(owner, name, None)
    assert method is not None, hint(f"`{owner.__name__}.{name}`, which is gone")
    parameters = list(inspect.signature(method).parameters)[1:]
    assert parameters == METHODS[owner, name], hint(f"the parameters of `{owner.__name__}.{name}`")


def test_every_overridden_method_is_checked() -> None:
    assert METHODS.keys() >= OVERRIDDEN, "add them to METHODS"


def test_a_protocol_has_its_attributes(loop: asyncio.AbstractEventLoop) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    config, state = uvicorn.Config(app, log_config=None), ServerState()
    protocol = HttpToolsProtocol(config=config, server_state=state, app_state={}, _loop=loop)
    missing = [name for name in PROTOCOL if not hasattr(protocol, name)]
    assert missing == [], hint(f"the attributes {missing} of `HttpToolsProtocol`")
    assert isinstance(state.connections, set), hint("`ServerState.connections`")


def test_a_cycle_has_its_attributes() -> None:
    log = logging.getLogger("uvicorn.error")
    names = inspect.signature(RequestResponseCycle).parameters
    values = {"logger": log, "access_logger": log, "default_headers": [], "keep_alive": True}
    cycle = RequestResponseCycle(**{name: values.get(name) for name in names})  # type: ignore[arg-type]
    missing = [name for name in CYCLE if not hasattr(cycle, name)]
    assert missing == [], hint(f"the attributes {missing} of `RequestResponseCycle`")
    assert isinstance(cycle.body, bytearray), hint("`RequestResponseCycle.body`, to which a body is appended")


def test_flow_control_has_its_attributes() -> None:
    flow = FlowControl(asyncio.Transport())
    assert (flow.read_paused, flow.write_paused) == (False, False), hint("the attributes of `FlowControl`")
    assert HIGH_WATER_LIMIT == 64 * 2**10, hint("`HIGH_WATER_LIMIT`")


def test_a_server_has_its_attributes() -> None:
    server = Server(uvicorn.Config("a:b", log_config=None))
    names = ("config", "force_exit", "server_state", "should_exit")
    missing = [name for name in names if not hasattr(server, name)]
    assert missing == [], hint(f"the attributes {missing} of `Server`")
    assert hasattr(server.config, "timeout_graceful_shutdown"), hint("`Config.timeout_graceful_shutdown`")

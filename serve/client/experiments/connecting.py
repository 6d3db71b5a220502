"""The options of every command that asks a server about experiments, and the client that they make."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Concatenate, ParamSpec, get_type_hints

import typer

from adaptact.errors import AdaptactError
from adaptact.languages.spoken import spoken
from adaptact.options import Quiet, SpokenLanguage
from adaptact.output import silence
from serve.client.experiments.client import ExperimentClient
from serve.client.options import ApiKey, Certificates, read_certificates
from serve.client.retry import Retry
from serve.client.transport import Transport

P = ParamSpec("P")

Url = Annotated[str, typer.Option(envvar="ADAPTACT_URL", help="URL of the server.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Maximum seconds per request, with its attempts.")]
DEFAULT_URL = "http://127.0.0.1:8000"


def asks_server(run: Callable[Concatenate[ExperimentClient, P], None]) -> Callable[..., None]:
    """The command whose first parameter, a client, is replaced by the options of the server's address."""

    @functools.wraps(run)
    def command(*args: P.args, **given: P.kwargs) -> None:
        options = {name: given.pop(name) for name in ("url", "api_key", "ca", "timeout")}
        quiet = bool(given.pop("quiet"))
        given.pop("language")  # is spoken since it was read
        try:
            with silence(quiet), connect(**options) as client:  # type: ignore[arg-type]  # those of `connect`
                run(client, *args, **given)
        except KeyboardInterrupt:
            raise AdaptactError("interrupted") from None

    first, *others = inspect.signature(run).parameters.values()
    address = (
        *inspect.signature(_choose).parameters.values(),
        *inspect.signature(connect).parameters.values(),
    )
    # Keyword only, since typer passes all by name and a default may stand before what has none.
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*others, *address)]
    vars(command)["__signature__"] = inspect.Signature(parameters)
    hints: dict[str, object] = {}
    for function in (run, _choose, connect):
        hints |= get_type_hints(function, include_extras=True)
    command.__annotations__ = {name: hint for name, hint in hints.items() if name != first.name}
    return command


def _choose(language: SpokenLanguage = None, quiet: Quiet = False) -> None:
    """The options of every command."""


def connect(
    url: Url = DEFAULT_URL, api_key: ApiKey = None, ca: Certificates = None, timeout: Timeout = 60.0
) -> ExperimentClient:
    """A client of the server; raises `ClientError` for an address, a key or certificates that are none."""
    transport = Transport(tls=read_certificates(ca), headers={"accept-language": spoken()})
    retry = Retry(connecting=1)  # whoever waits before a terminal is told at once
    return ExperimentClient(url, api_key=api_key, timeout_seconds=timeout, retry=retry, transport=transport)

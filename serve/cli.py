"""`adaptact serve`: arguments in, exit status out: 0 fine, 1 failed, 2 wrong use."""

import gc
import inspect
import logging
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from adaptact import exit_codes
from adaptact.errors import UsageError
from adaptact.exit_codes import FAILED
from adaptact.options import AsJson, ClusterCommand, Quiet
from adaptact.text import LONGEST_LINE, escape_line
from serve.engine.errors import StartupError
from serve.settings import FILE, PREFIX, Settings, find_panel

if TYPE_CHECKING:
    from serve.workers.options import Announcement, SupervisorOptions

log = logging.getLogger("adaptact")

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
OPEN_TO_ALL = (
    "`--host %s` listens to other machines and there are no `--keys`: whoever reaches the port may run every "
    "model; make keys with `adaptact key`, or listen on 127.0.0.1"
)
STDERR = 2
PASSWORD = re.compile("//[^/]*@")
"""In an address."""
OWN_DESCRIPTORS = 256
"""A process's descriptors beside its connections: refused ones, shared memory, files, sockets."""


def serve(*, quiet: bool = False, as_json: bool = False, **options: Any) -> None:
    """Serve a folder of ONNX models over HTTP and gRPC.

    Each option can also be set by an environment variable, such as
    ADAPTACT_GRPC_PORT for --grpc-port, or by a line of adaptact.toml in the
    working folder, such as: grpc_port = 8001. Options override variables, and
    variables override the file.
    """
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except (ValueError, OSError) as error:
        problems = (escape_line(problem, LONGEST_LINE) for problem in _list_problems(error))
        raise UsageError("\nerror: ".join(problems), "`adaptact serve --help` lists every setting") from error
    if quiet and "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": "warning"})
    announcement: Announcement = "json" if as_json else "nothing" if quiet else "line"
    if settings.cluster:
        _keep_cluster(settings, announcement)
    else:
        _run(settings, announcement)


def main() -> None:
    """Run the command and end the process with its exit code; each error is a line, and the hint below."""
    exit_codes.run(app, {StartupError: FAILED})


def allow_connections(connections: int) -> None:
    """Raise the descriptor limit of this process and its children to what so many connections need.

    Where the system does not allow that many, the limit is as high as it allows and the log says so.
    """
    needed = connections + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, needed):
        return
    if not _is_enough(hard, needed):
        log.warning(
            "`--connections %d` needs %d descriptors and the system allows %d: some connections would not be "
            "answered; raise the hard limit (`ulimit -Hn`), or allow %d connections",
            *(connections, needed, hard, max(1, hard - OWN_DESCRIPTORS)),
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _is_enough(hard, needed) else hard, hard))


def describe_setting(field: FieldInfo) -> str:
    """What the setting means, and its default where it has one."""
    if field.is_required():
        return f"{field.description} Required."
    has_none = field.default in ("", None, False)
    return str(field.description) if has_none else f"{field.description} Default: {format_default(field)}."


def format_default(field: FieldInfo) -> str:
    """The setting's default as a person reads it."""
    return "none" if field.default in ("", None) else str(field.default)


def _run(settings: Settings, announcement: "Announcement") -> None:
    # Imported here so that --help and a wrong argument answer at once.
    from serve.access.control import is_this_machine  # noqa: PLC0415
    from serve.observe.log_lines import configure_log  # noqa: PLC0415
    from serve.workers.count import count_workers  # noqa: PLC0415
    from serve.workers.listener import open_listeners  # noqa: PLC0415
    from serve.workers.weights import settle_weights  # noqa: PLC0415

    _open_standard_files()
    configure_log(settings.log_level, LOG_FORMAT)
    allow_connections(settings.connections)
    with ExitStack() as closing:
        listeners = open_listeners(settings.host, settings.port, settings.grpc_port)
        for listener in listeners:
            closing.enter_context(listener)
        host = listeners[0].getsockname()[0]  # systemd's socket unit decides where it starts the server
        if settings.keys is None and not is_this_machine(host):
            log.warning(OPEN_TO_ALL, host)
        _bring_models(settings)
        workers = count_workers(settings)
        settings = settle_weights(settings.model_copy(update={"workers": workers.number}))
        _start(settings, listeners, str(workers), announcement)


def _keep_cluster(settings: Settings, announcement: "Announcement") -> None:
    from serve.cluster.command import serve_cluster  # noqa: PLC0415  # it needs what a single server does not
    from serve.observe.log_lines import configure_log  # noqa: PLC0415

    configure_log(settings.log_level, LOG_FORMAT)
    serve_cluster(settings, announcement)


def _bring_models(settings: Settings) -> None:
    """Fill the models folder from its source, if it has one."""
    if not settings.source:
        return
    from serve.options import make_source_options  # noqa: PLC0415
    from serve.workers.first_copy import WAIT_SECONDS, bring_models  # noqa: PLC0415
    from serve.workers.systemd import notify  # noqa: PLC0415

    if (options := make_source_options(settings)) is not None:
        wait = f"EXTEND_TIMEOUT_USEC={int(4e6 * WAIT_SECONDS)}"
        bring_models(options, lambda: notify(wait), may_be_empty=settings.start_empty)


def _start(
    settings: Settings, listeners: Sequence[socket.socket], workers: str, announcement: "Announcement"
) -> NoReturn:
    """Start the workers, and become the supervisor: the same process, without what only its start needed."""
    from serve.workers.options import STOP_SIGNALS, write_options  # noqa: PLC0415

    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # until supervisor and workers handle them
    # numpy would start threads to compute with, which the server does not use, and which cannot be forked.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    descriptor = write_options(_make_options(settings, listeners, workers, announcement))
    for listener in listeners:
        listener.set_inheritable(True)
    numbers = ",".join(str(listener.fileno()) for listener in listeners)
    # Without the working folder, whose files may have the names of modules. The rest is to be seen in `ps`.
    command = [sys.executable, "-P", "-m", "serve.workers", numbers, str(descriptor)]
    os.execv(sys.executable, [*command, *sys.argv])


def _make_options(
    settings: Settings, listeners: Sequence[socket.socket], workers: str, announcement: "Announcement"
) -> "SupervisorOptions":
    gc.disable()  # else a tenth of the time of the imports; each worker enables it
    from serve.options import make_source_options  # noqa: PLC0415
    from serve.shared.memory import create_limits  # noqa: PLC0415
    from serve.workers.fork import fork_workers  # noqa: PLC0415
    from serve.workers.listener import format_url  # noqa: PLC0415
    from serve.workers.options import SupervisorOptions  # noqa: PLC0415

    url = format_url(listeners[0], "https" if settings.tls_certificate else "http")
    limits = create_limits()
    try:
        started = fork_workers(settings, limits, [listener.fileno() for listener in listeners])
    except OSError as error:
        raise StartupError(f"a worker cannot be started: {error.strerror}") from error
    return SupervisorOptions(
        settings=settings.model_dump_json(),
        workers=started,
        limits=limits,
        connections=settings.connections,
        stop_grace_seconds=settings.stop_grace_seconds,
        stop_linger_seconds=settings.stop_linger_seconds,
        log_level=settings.log_level,
        url=url,
        manner=f"{settings.provider} with {workers}",
        grpc_port=listeners[1].getsockname()[1] if settings.grpc_port else 0,
        announcement=announcement,
        source=source.to_json() if (source := make_source_options(settings)) else "",
    )


def _open_standard_files() -> None:
    """No other file gets the number of standard input, output or error, where one of these is closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _list_problems(error: Exception) -> Iterator[str]:
    if not isinstance(error, ValidationError):
        yield f"`{FILE}` cannot be read: {error}"
        return
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "missing":
            yield f"`{_option_name(name)}` is missing; expected: {Settings.model_fields[name].description}"
        elif name in Settings.model_fields:
            value = PASSWORD.sub("//…@", str(problem["input"]))
            reason = problem["msg"].removeprefix("Value error, ")
            yield f"`{_option_name(name)}` has a wrong value `{value}`: {reason}"
        else:
            yield f"`{FILE}` has an unknown setting `{name}`"


def _declare_options() -> None:
    """Give `serve` the signature that Typer reads, with an option for each setting."""
    parameters = [_make_parameter(name, field) for name, field in Settings.model_fields.items()]
    for name, kind in (("quiet", Quiet), ("as_json", AsJson)):
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        )
    serve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Python's own hook
    serve.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


def _make_parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """The command's option for a setting: same name, type, default and description."""
    off = f"/--no-{name.replace('_', '-')}" if field.default is True else ""
    option = typer.Option(
        f"{_option_name(name)}{off}",
        help=describe_setting(field),
        envvar=f"{PREFIX}{name.upper()}",
        show_envvar=False,
        rich_help_panel=find_panel(name),
    )
    # None stands for an option that was not given: the environment, the file or the default decides.
    annotation: Any = Annotated[Optional[field.annotation], option]  # noqa: UP045  a value, not an annotation
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option_name(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_declare_options()
app.command(cls=ClusterCommand)(serve)

"""`adaptact serve --cluster`, and `adaptact cluster`: arguments in, exit status out."""

import logging
import signal
import threading
from time import monotonic, sleep
from typing import Annotated, Any, Literal

import typer

from adaptact import exit_codes
from adaptact.cluster import AUTO
from adaptact.console import results
from adaptact.exit_codes import FAILED
from adaptact.options import AsJson, Quiet
from adaptact.output import print_json, print_lines
from adaptact.tables import FittedTable
from serve.access.control import is_this_machine
from serve.cluster.connection import connect, list_nodes
from serve.cluster.errors import ClusterError, ControllerRunsError, NoControllerError
from serve.cluster.spec import require_possible
from serve.settings import Settings
from serve.workers.systemd import notify

log = logging.getLogger("adaptact")

TAKE_SECONDS = 60.0
"""So long Ray has to notice that the command before has ended."""
LOST_SECONDS = 45.0
"""So long replicas have to finish their requests where no command says otherwise."""
OPEN_TO_ALL = (
    "replicas listen on their nodes' addresses and there are no `--keys`: whoever reaches them may run every "
    "model; make keys with `adaptact key`"
)
HEADER = ("replica", "node", "address", "state", "serves", "in flight", "current")
Announcement = Literal["line", "json", "nothing"]
Address = Annotated[str, typer.Option(metavar="HOST:PORT", help="Ray's address; auto for this machine's.")]

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None
)


def main() -> None:
    """Run the command and end the process with its exit code; an error is one line."""
    exit_codes.run(app, {ClusterError: FAILED})


def serve_cluster(settings: Settings, announcement: Announcement) -> None:
    """Keep replicas of these settings until a signal; or hand the settings to the command that keeps them."""
    require_possible(settings)
    connect(settings.cluster)
    from serve.cluster.keeping import Keeper, hand_over_settings, open_desk  # noqa: PLC0415  # they import Ray

    deadline = monotonic() + TAKE_SECONDS
    while True:
        try:
            desk = open_desk()
            break
        except ControllerRunsError:
            try:
                _announce(settings, hand_over_settings(settings), announcement)
                return
            except NoControllerError:  # it has just ended, and Ray has not noticed yet
                if monotonic() > deadline:
                    raise
                sleep(1)
    _warn(settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    Keeper(settings, desk).run(stopping, lambda status: _announce(settings, status, announcement))
    notify("STOPPING=1")
    if stopping.is_set():
        log.info(
            "replicas and proxy go on; `adaptact serve` again keeps them, `adaptact cluster stop` ends them"
        )


@app.command()
def status(address: Address = AUTO, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Show the replicas, where they are and what they do."""
    connect(address)
    from serve.cluster.keeping import find_desk, read_status  # noqa: PLC0415

    seen = read_status(find_desk())
    if as_json:
        print_json(seen)
        return
    rows = [_list_cells(replica) for replica in seen.get("replicas", [])]
    with results(quiet=quiet) as console:
        console.print(f"kept by {seen['controller']}; {seen.get('wanted', 0)} wanted")
        console.print(FittedTable.build(HEADER, rows))


@app.command()
def update(address: Address = AUTO, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Replace every replica, one after the other: for new models, keys or certificates in the same files.

    Where a new one does not become ready, those that were replaced go back.
    """
    connect(address)
    from serve.cluster.keeping import find_desk, hand_over  # noqa: PLC0415

    count = sum(one["serves"] for one in hand_over(find_desk(), "update")["replicas"])  # others end still
    _tell({"replaced": count}, f"{count} replicas were replaced", quiet, as_json)


@app.command()
def stop(address: Address = AUTO, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """End the proxy, every replica once its requests are answered, and the command that keeps them."""
    connect(address)
    from serve.cluster.keeping import end_all, find_desk, hand_over  # noqa: PLC0415
    from serve.cluster.placer import RayPlacer  # noqa: PLC0415

    try:
        count = len(hand_over(find_desk(), "stop").get("replicas", []))
        line = "the replicas, their proxy and the command that kept them have ended"
    except NoControllerError:
        count = end_all(RayPlacer(), LOST_SECONDS)
        line = f"{count} replicas have ended; no command kept them, and their proxy may still run"
    _tell({"ended": count}, line, quiet, as_json)


def _list_cells(replica: dict[str, Any]) -> tuple[str, ...]:
    where = f"{replica['host']}:{replica['port']}" if replica["host"] else ""
    yes = {True: "yes", False: "no"}
    return (
        *(replica["name"], replica["node"][:8], where, replica["state"], yes[replica["serves"]]),
        *(str(replica["in_flight"]), yes[replica["is_current"]]),
    )


def _tell(result: dict[str, Any], line: str, quiet: bool, as_json: bool) -> None:
    if as_json:
        print_json(result)
    elif not quiet:
        print_lines(line)


def _warn(settings: Settings) -> None:
    if settings.keys is None and not all(is_this_machine(one["NodeManagerAddress"]) for one in list_nodes()):
        log.warning(OPEN_TO_ALL)


def _announce(settings: Settings, seen: dict[str, Any], announcement: Announcement) -> None:
    scheme = "https" if settings.tls_certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url, count = f"{scheme}://{host}:{settings.port}", sum(one["serves"] for one in seen["replicas"])
    notify("READY=1", f"STATUS={url}: {count} replicas")
    if announcement == "json":
        print_json({"url": url, "grpc_port": settings.grpc_port or None, "replicas": count})
    elif announcement == "line":
        grpc = f" and gRPC on port {settings.grpc_port}" if settings.grpc_port else ""
        print_lines(f"adaptact-serve: {url}{grpc} is answered by {count} replicas")

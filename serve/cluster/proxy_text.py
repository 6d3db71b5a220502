"""HAProxy's configuration, and the commands that change it while it runs: pure functions.

A backend has a fixed number of *slots*, servers that are in maintenance until a replica is put into one by
commands of the runtime API: no reload, no connection is lost. The file always has the replicas of now too,
for an HAProxy that is started again. Source: HAProxy 2.6, Management Guide, section 9.3.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

HTTP, GRPC = "http", "grpc"
"""The backends; a slot has the same name in both."""
NOWHERE = "127.0.0.1:1"
CHECK = "check inter 500ms fastinter 250ms downinter 500ms fall 2 rise 1"
OF_ONE_SERVER = "this concerns one server, ask it at its own address and not through the proxy"
PATHS_OF_ONE_SERVER = (
    *("/v2/repository/models/", "/v2/systemsharedmemory", "/v2/cudasharedmemory", "/v2/logging"),
    *("/console", "/metrics", "/adaptact/v1/live"),
)
METHODS_OF_ONE_SERVER = ("RepositoryModel", "SystemSharedMemory", "CudaSharedMemory", "LogSettings")
"""How their names begin."""
PERMISSION_DENIED = 7
"""The status of gRPC."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a replica answers."""

    host: str
    port: int
    grpc_port: int = 0


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """Where the proxy listens, and how it speaks to replicas."""

    host: str
    port: int
    grpc_port: int
    slots: int
    certificate: bytes = field(default=b"", repr=False)
    """Certificate and key as PEM: then clients, and replicas, speak TLS."""
    trusted: bytes = field(default=b"", repr=False)
    """The certificates, as PEM, that replicas may show."""
    connections: int = 4000
    answer_seconds: int = 60
    """So long a replica may take for an answer."""
    shares_state: bool = False
    """Whether replicas have their aliases and experiments from a database."""


Slots = Mapping[str, Address]
"""The replicas by the slot of each; a slot without one is not named."""


def slot_names(options: ProxyOptions) -> list[str]:
    """The names of all slots."""
    return [f"replica-{number}" for number in range(1, options.slots + 1)]


def list_certificates(options: ProxyOptions, folder: Path) -> dict[Path, bytes]:
    """The files in the folder that the configuration names, with what has to be in them."""
    if not options.certificate:
        return {}
    return {_locate(folder, content): content for content in (options.certificate, options.trusted)}


def write_configuration(options: ProxyOptions, socket: Path, slots: Slots) -> str:
    """The file, with these replicas in their slots."""
    return "\n".join(
        [
            *_write_global(options, socket),
            *_write_frontend(options, HTTP, options.port, "h2,http/1.1", socket.parent),
            *_write_refusals(options),
            *_write_backend(options, HTTP, slots, socket.parent),
            *(_write_grpc(options, slots, socket.parent) if options.grpc_port else ()),
            "",
        ]
    )


@dataclass(frozen=True, slots=True)
class Place:
    """What should be in a slot."""

    address: Address
    is_leaving: bool = False
    """It gets no new requests, and finishes those it has."""


@dataclass(frozen=True, slots=True)
class SlotState:
    """What HAProxy says of a slot."""

    status: str
    """Such as `UP`, `DOWN`, `DRAIN`, `MAINT`."""
    in_flight: int
    address: str
    """Host and port, or nothing."""
    check: str = ""
    """How the last check went, such as `L6RSP SSL handshake failure`."""

    @property
    def is_open(self) -> bool:
        """Whether it may get new requests, now or once it answers."""
        return not self.status.startswith(("MAINT", "DRAIN", "DOWN"))

    @property
    def is_up(self) -> bool:
        """Whether it has answered the last check: of `UP 1/2`, which gets requests too, that is not known."""
        return self.status == "UP"


def read_statistics(text: str) -> dict[str, SlotState]:
    """The slots by name, from the answer to `show stat`: in flight are the requests of HTTP and of gRPC."""
    slots: dict[str, SlotState] = {}
    in_flight: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text.removeprefix("# "))):
        slot = row["svname"]
        if slot in ("FRONTEND", "BACKEND"):
            continue
        in_flight[slot] += int(row["scur"] or 0)
        if row["pxname"] == HTTP:
            check = " ".join(filter(None, (row.get("check_status"), row.get("last_chk"))))
            slots[slot] = SlotState(row["status"], 0, row["addr"] or "", check)
    return {slot: replace(state, in_flight=in_flight[slot]) for slot, state in slots.items()}


def write_commands(
    options: ProxyOptions, states: Mapping[str, SlotState], places: Mapping[str, Place]
) -> list[str]:
    """What HAProxy must be told so that its slots are as they should be; nothing if they are.

    A request on its way to a replica that is gone fails at once.
    """
    commands = []
    for slot in slot_names(options):
        state, place = states.get(slot), places.get(slot)
        if state is None:
            continue  # of a configuration that HAProxy has not read yet
        if place is None:
            commands += [] if state.status.startswith("MAINT") else _write_release(options, slot)
        elif place.is_leaving:
            commands += [f"set server {HTTP}/{slot} state drain"] if state.is_open else []
        elif state.address != _join(place.address) or state.status.startswith(("MAINT", "DRAIN")):
            commands += _write_assignment(options, slot, place.address)
    return commands


def _write_assignment(options: ProxyOptions, slot: str, address: Address) -> list[str]:
    commands = [f"set server {HTTP}/{slot} addr {address.host} port {address.port}"]
    if options.grpc_port:
        commands.append(f"set server {GRPC}/{slot} addr {address.host} port {address.grpc_port}")
    return [*commands, f"set server {HTTP}/{slot} state ready"]


def _write_release(options: ProxyOptions, slot: str) -> list[str]:
    backends = (HTTP, GRPC) if options.grpc_port else (HTTP,)
    return [
        f"set server {HTTP}/{slot} state maint",
        *(f"shutdown sessions server {backend}/{slot}" for backend in backends),
    ]


def _write_global(options: ProxyOptions, socket: Path) -> Iterator[str]:
    yield from (
        "# Written by `adaptact serve --cluster`, which changes it whenever the replicas change.",
        "global",
        "    log stdout format raw local0 notice",
        f"    maxconn {options.connections}",
        f"    stats socket {_escape(socket)} mode 600 level admin expose-fd listeners",
        "    stats timeout 30s",
        "    noreuseport",  # else a second HAProxy on the same port would share its clients
        f"    hard-stop-after {options.answer_seconds}s",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
        "",
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option forwardfor",
        "    timeout connect 1s",
        f"    timeout client {options.answer_seconds}s",
        f"    timeout server {options.answer_seconds}s",
        "    timeout queue 5s",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 60s",
        "    # One that a replica may have begun is not repeated: an experiment would count it twice.",
        "    retries 2",
        "    retry-on conn-failure",
        "    option redispatch 1",
        "    balance leastconn",
    )


def _write_frontend(
    options: ProxyOptions, name: str, port: int, protocols: str, folder: Path
) -> Iterator[str]:
    host = f"[{options.host}]" if ":" in options.host else options.host
    certificate = _escape(_locate(folder, options.certificate))
    tls = f" ssl crt {certificate} alpn {protocols}" if options.certificate else ""
    plain_h2 = " proto h2" if name == GRPC and not options.certificate else ""
    yield ""
    yield f"frontend {name}-in"
    yield f"    bind {host}:{port}{tls}{plain_h2}"
    yield f"    default_backend {name}"


def _write_refusals(options: ProxyOptions) -> Iterator[str]:
    """What would reach one replica of many. A replica decodes paths, so they are compared as it sees them."""
    yield f"    acl of_one_server path,url_dec -m beg {' '.join(PATHS_OF_ONE_SERVER)}"
    state = "^/adaptact/v1/(models/[^/]+/aliases/|experiments/|feedback)"
    yield f"    acl of_the_state path,url_dec -m reg {state}"
    yield "    acl is_change method PUT DELETE POST"
    text = f'{{\\"error\\":\\"{OF_ONE_SERVER}\\"}}'
    answer = f'return status 403 content-type application/json string "{text}"'
    yield f"    http-request {answer} if of_one_server"
    if not options.shares_state:
        yield f"    http-request {answer} if of_the_state is_change"


def _write_backend(options: ProxyOptions, name: str, slots: Slots, folder: Path) -> Iterator[str]:
    yield ""
    yield f"backend {name}"
    yield "    option httpchk"
    yield "    http-check send meth GET uri /v2/health/ready"
    yield "    http-check expect status 200"
    for slot in slot_names(options):
        address = slots.get(slot)
        where = NOWHERE if address is None else f"{_join(address)}"
        state = " disabled" if address is None else ""
        yield f"    server {slot} {where} {CHECK}{_write_tls(options, folder)}{state}"


def _write_grpc(options: ProxyOptions, slots: Slots, folder: Path) -> Iterator[str]:
    """Health is that of HTTP's slot."""
    yield from _write_frontend(options, GRPC, options.grpc_port, "h2", folder)
    paths = " ".join(f"/inference.GRPCInferenceService/{name}" for name in METHODS_OF_ONE_SERVER)
    yield f"    acl of_one_server path,url_dec -m beg {paths}"
    status = f'hdr grpc-status {PERMISSION_DENIED} hdr grpc-message "{OF_ONE_SERVER}"'
    yield "    http-request set-var(txn.is_refused) bool(true) if of_one_server"
    yield f"    http-request return status 200 {status} if of_one_server"
    # `return` leaves it out where there is no content.
    was_refused = "{ var(txn.is_refused) -m bool }"
    yield f"    http-after-response set-header content-type application/grpc if {was_refused}"
    yield ""
    yield f"backend {GRPC}"
    for slot in slot_names(options):
        address = slots.get(slot)
        where = NOWHERE if address is None else f"{_bracket(address.host)}:{address.grpc_port}"
        alpn = " alpn h2" if options.certificate else " proto h2"
        yield f"    server {slot} {where} track {HTTP}/{slot}{_write_tls(options, folder)}{alpn}"


def _write_tls(options: ProxyOptions, folder: Path) -> str:
    """Replicas show the proxy's own certificate, or that of before an update, and nobody else can."""
    trusted = _escape(_locate(folder, options.trusted))
    return f" ssl verify required ca-file {trusted}" if options.certificate else ""


def _locate(folder: Path, certificate: bytes) -> Path:
    """The file of the certificate: another one for another content."""
    return folder / f"proxy-{sha256(certificate).hexdigest()[:16]}.pem"


def _escape(path: Path) -> str:
    return re.sub(r"([\\\s\"'#])", r"\\\1", str(path))


def _join(address: Address) -> str:
    return f"{_bracket(address.host)}:{address.port}"


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def find_slots(states: Mapping[str, SlotState], addresses: Mapping[str, Address]) -> dict[str, str]:
    """The slots that replicas have already, by the replica's name: for a controller that takes over."""
    names = {_join(address): name for name, address in addresses.items()}
    in_use = {slot: state.address for slot, state in states.items() if not state.status.startswith("MAINT")}
    return {names[address]: slot for slot, address in in_use.items() if address in names}


def list_free(options: ProxyOptions, taken: Collection[str]) -> list[str]:
    """The slots without a replica."""
    return [slot for slot in slot_names(options) if slot not in taken]

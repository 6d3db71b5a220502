"""What docs/security.md says is so."""

import json
import re
from typing import get_type_hints

from serve.access.control import AuditLog
from serve.access.keys import ROLES
from serve.access.limits import MOST_CLIENTS
from serve.grpc.wire import MAX_FIELDS
from serve.protocol.binary import MAX_STRINGS
from serve.protocol.compression import FREE_BYTES, RATIO
from serve.protocol.json_text import MAX_DEPTH, MAX_VALUES
from serve.rest.body import SMALL_LIMIT_BYTES
from serve.rest.http import ANSWERED_SURPLUS, MAX_HEAD_BYTES, MAX_HEADERS
from serve.rest.stalls import BYTES_PER_SECOND
from serve.settings import Settings
from tests.serve.pages import read_first_cells, read_page

TEXT = " ".join(read_page("security").split())


def test_every_role_is_on_the_page() -> None:
    assert set(read_first_cells("security")) == set(ROLES)


def test_every_option_on_the_page_is_a_setting() -> None:
    named = set(re.findall(r"`--([a-z-]+)", TEXT)) - {"name", "role"}
    assert {name.removeprefix("no-").replace("-", "_") for name in named} <= set(Settings.model_fields)
    assert {"keys", "tls-certificate", "tls-key", "tls-client-ca", "audit-log", "connections"} <= named


def test_the_bounds_are_as_stated() -> None:
    for stated in (
        f"{MAX_HEADERS} headers, {MAX_HEAD_BYTES // 2**10} KiB",
        f"503; {ANSWERED_SURPLUS} beyond that",
        f"{BYTES_PER_SECOND} bytes a second",
        f"{SMALL_LIMIT_BYTES // 2**20} MiB if no model is addressed",
        f"{FREE_BYTES // 2**20} MiB, and beyond that {RATIO} times",
        f"{MAX_DEPTH} levels, {MAX_VALUES} values",
        f"| {MAX_STRINGS} | 400 |",
        f"room for {MOST_CLIENTS} clients",
        f"{MAX_FIELDS} fields",
    ):
        assert stated in TEXT


def test_a_line_of_the_audit_log_is_as_shown() -> None:
    shown = re.search(r"```json\n(.*)\n```", read_page("security"))
    assert shown is not None
    recorded = set(get_type_hints(AuditLog.record)) - {"return"}
    assert set(json.loads(shown[1])) == recorded | {"time"}

"""The names under which the server may be addressed.

A page of a foreign site whose name is pointed at this machine is, for a browser, of the same origin as the
server (DNS rebinding): only the name in `Host` tells.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from serve.access.proxies import parse_address

LOCAL = "localhost"
# A name or an address, and a port: nothing that ends the name within a URL, such as `/`.
HOST = re.compile(rb"([A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")
REMEMBERED = 256  # hosts: a header is nearly always one of a few


class AllowedHosts:
    """Names that clients may use, `*.` for any one below; addresses and `localhost` are always allowed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(name.lower() for name in names)
        self.allow = lru_cache(REMEMBERED)(self._allow)

    def _allow(self, host: bytes) -> bool:
        """Whether this `Host` may be used, with or without a port."""
        if not HOST.fullmatch(host):
            return False
        try:
            name = (urlsplit(f"//{host.decode()}").hostname or "").rstrip(".")
        except ValueError:
            return False
        parent = f"*.{name.partition('.')[2]}"
        return name == LOCAL or not self._names.isdisjoint((name, parent)) or parse_address(name) is not None

"""Addresses of sources, and of servers."""

from ipaddress import ip_address
from urllib.parse import urlsplit

KINDS = ("s3://", "oci://", "models:/")


def check_address(address: str) -> None:
    """Raise `ValueError` unless the address is of a known kind, and holds no password."""
    if not address.startswith(KINDS):
        known = ", ".join(f"`{kind}`" for kind in KINDS)
        raise ValueError(f"expected an address that begins with one of {known}")
    if address.startswith("models:"):
        return
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError("an address holds no password; credentials come from the environment")
    if not parts.hostname or parts.port == 0:  # a port that is no number is an error of its own
        raise ValueError("expected the name of a bucket, or of a registry, after `//`")


def is_own(url: str) -> bool:
    """Whether the URL is of this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Settings: Access control and TLS."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from serve.access.proxies import parse_proxies
from serve.settings.topic import Topic


class AccessSettings(Topic):
    """Who may call the server, how often, and over what."""

    panel: ClassVar[str] = "Access control and TLS"

    keys: Annotated[
        Path | None,
        Field(description="File of API keys, made with adaptact key; without it no key is required."),
    ] = None
    local_admin: Annotated[
        bool,
        Field(description="Let callers on the server's own machine administer without a key despite --keys."),
    ] = False
    proxies: Annotated[
        str,
        Field(
            description="Addresses of proxies whose X-Forwarded-For names the client, such as 10.0.0.0/8,::1."
        ),
    ] = ""
    allowed_hosts: Annotated[
        str,
        Field(
            pattern=r"^(\s*(\*\.)?[A-Za-z0-9._-]+\s*(,|$))*$",
            description="Names that clients may address, such as models.example,*.plant.example; empty: all.",
        ),
    ] = ""
    client_requests_per_second: Annotated[
        float,
        Field(ge=0, le=1e6, description="Maximum requests per second of one key or address; 0 for no limit."),
    ] = 0.0
    audit_log: Annotated[
        Path | None,
        Field(description="File for administrators' actions; without it they go to the server's log."),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Field(description="PEM file of the server's certificate; the server then accepts only HTTPS."),
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM file of the certificate's private key.")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM file of the CA that must have issued every client's certificate.")
    ] = None

    @field_validator("proxies")
    @classmethod
    def _require_networks(cls, text: str) -> str:
        parse_proxies(text)
        return text

"""Those who are told of requests, one for all doors."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serve.watch.access_log import AccessLog

if TYPE_CHECKING:
    from serve.watch.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Watchers:
    """Those who are told of requests; none, unless they are asked for."""

    log: AccessLog | None = None
    telemetry: "Telemetry | None" = None

    def close(self) -> None:
        """Write and send what is left."""
        if self.telemetry is not None:
            self.telemetry.close()
        if self.log is not None:
            self.log.close()


def open_watchers(access_log: Path | None, otlp_endpoint: str) -> Watchers:
    """The log in this file and traces to this address, where there is one; raises `StartupError`."""
    telemetry = None
    if otlp_endpoint:
        # Imported only where it is wanted, since its packages are an extra.
        from serve.watch.telemetry import open_telemetry  # noqa: PLC0415

        telemetry = open_telemetry(otlp_endpoint)
    log = None if access_log is None else AccessLog(access_log)
    return Watchers(log, telemetry)

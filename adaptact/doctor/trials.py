"""Packages and providers tried in processes of their own, which a broken one may end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from typing import Any

from packaging.utils import canonicalize_name

from adaptact.doctor import probe
from adaptact.providers.plug_in import PlugInProvider
from adaptact.text import LONGEST_LINE

SECONDS = 180.0  # torch alone takes ten on a busy disk
# Distributions whose module is not what their metadata name, or is in a namespace that others share.
MODULES = {
    "protobuf": "google.protobuf",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
    "onnxruntime-gpu": "onnxruntime",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """How the import of a package went; `facts` is what the probe says of it."""

    error: str | None
    facts: dict[str, Any]


def find_modules(packages: Sequence[str]) -> dict[str, str]:
    """The module of each package, by the package's name in its normal form."""
    modules: dict[str, list[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(canonicalize_name(name), []).append(module)
    found: dict[str, str] = {}
    for package in map(canonicalize_name, packages):
        plain = package.replace("-", "_")
        known = sorted(
            (name for name in modules.get(package, ()) if name.isidentifier() and not name.startswith("_")),
            key=lambda name: (name.lower() != plain, len(name)),
        )
        found[package] = MODULES.get(package) or (known[0] if known else plain)
    return found


def try_modules(modules: Sequence[str]) -> dict[str, Loaded]:
    """How the import of each module went; one that ends the process does not keep the others from theirs."""
    results: dict[str, Loaded] = {}
    left = list(dict.fromkeys(modules))
    while left:
        lines, ending = _run(left)
        for line in lines:
            results[line["module"]] = Loaded(_shorten(line["error"]), line)
        left = [module for module in left if module not in results]
        if left:  # the next one ended the process
            results[left[0]] = Loaded(ending, {})
            left = left[1:]
    return results


def try_provider(provider: str) -> str | None:
    """Why ONNX Runtime cannot use the provider; None where it computes."""
    return _try_provider(provider)


def try_plug_in(provider: PlugInProvider) -> str | None:
    """The same for a plug-in; ProviderError where it is not installed."""
    return _try_provider(provider.native, provider.find_library(), provider.device_kind)


def _try_provider(*words: str) -> str | None:
    lines, ending = _run([probe.PROVIDER, *words])
    return _shorten(lines[0]["error"]) if lines else ending


def _run(words: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """What the probe said, and how it ended."""
    command = [sys.executable, "-P", "-W", "ignore", probe.__file__, *words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            timeout=SECONDS,
            check=False,
        )
        content, ending = done.stdout, _describe_end(done.returncode)
    except subprocess.TimeoutExpired as error:
        content, ending = error.stdout or b"", f"loading it takes more than {SECONDS:g} s"
    except OSError as error:
        content, ending = b"", f"no process can be started: {error.strerror}"
    return [line for text in content.splitlines() if (line := _parse(text))], ending


def _parse(text: bytes) -> dict[str, Any] | None:
    """A line of the probe; None for what a package itself printed."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "error" in line else None


def _describe_end(status: int) -> str:
    if status < 0:
        return f"loading it ends the process ({signal.Signals(-status).name})"
    return f"loading it ends the process (status {status})"


def _shorten(error: str | None) -> str | None:
    return None if error is None else " ".join(error.split())[:LONGEST_LINE]

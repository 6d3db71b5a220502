"""The examination: packages, commands and providers, and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from packaging.utils import canonicalize_name

from adaptact import __version__
from adaptact.doctor.machine import describe_machine, describe_python
from adaptact.doctor.requirements import CORE, Package, read_extras
from adaptact.doctor.trials import Loaded, find_modules, try_modules, try_plug_in, try_provider
from adaptact.errors import ProviderError, UsageError
from adaptact.installation import describe_origin, install_line
from adaptact.providers.catalogue import PROVIDERS
from adaptact.providers.plug_in import PlugInProvider
from adaptact.suggestions import suggest

CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class ExaminedPackage:
    """A package, and why it cannot be used: None where it can, or where it is not installed."""

    name: str
    supported: str
    installed: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ExaminedExtra:
    """An extra: which of its packages are missing or unusable, and what installs them."""

    name: str
    missing: tuple[str, ...]
    unusable: tuple[str, ...]
    install: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What `adaptact doctor` has found out; `problems` is empty where all that is installed works."""

    version: str
    origin: str
    python: str
    packages: tuple[ExaminedPackage, ...]
    extras: tuple[ExaminedExtra, ...]
    providers: Mapping[str, str | None]
    """Why ONNX Runtime cannot use each provider that it offers or that a plug-in adds, None where it can."""
    notes: tuple[str, ...]
    machine: Mapping[str, str]
    problems: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return asdict(self)


def examine(required: Sequence[str]) -> Examination:
    """Everything tried; extras in `required` that are not ready are problems. Raises UsageError."""
    extras = read_extras()
    unknown = next((extra for extra in required if extra not in extras), None)
    if unknown is not None:
        names = [name for name in extras if name]
        raise UsageError(f"there is no extra `{unknown}`", suggest(unknown, names) or ", ".join(names))
    declared = {canonicalize_name(package.name): package for each in extras.values() for package in each}
    installed = [name for name, package in declared.items() if package.installed is not None]
    modules = find_modules(installed)
    loaded = try_modules(list(modules.values()))
    packages: dict[str, ExaminedPackage] = {
        name: _examine_package(package, loaded.get(modules[name]) if name in modules else None)
        for name, package in declared.items()
    }
    examined = tuple(_examine_extra(name, each, packages) for name, each in extras.items())
    providers = {name: try_provider(name) for name in _facts(loaded, "onnxruntime").get("providers", ())}
    if providers:
        providers |= _try_plug_ins()
    return Examination(
        version=__version__,
        origin=describe_origin(),
        python=describe_python(),
        packages=tuple(packages.values()),
        extras=examined,
        providers=providers,
        notes=tuple(_list_notes(loaded)),
        machine=describe_machine(),
        problems=tuple(_list_problems(packages, examined, providers, required)),
    )


def _try_plug_ins() -> dict[str, str | None]:
    """Why each plug-in that is installed cannot be used, None where it can."""
    found = {}
    for provider in PROVIDERS.values():
        if isinstance(provider, PlugInProvider):
            with suppress(ProviderError):  # it is not installed, which its extra says
                found[provider.native] = try_plug_in(provider)
    return found


def _examine_package(package: Package, loaded: Loaded | None) -> ExaminedPackage:
    problem = None
    if package.installed is not None and loaded is not None and loaded.error is not None:
        problem = f"cannot be loaded: {loaded.error}"
    elif package.installed is not None and not package.is_supported:
        problem = f"is {package.installed}, supported are {package.supported}"
    return ExaminedPackage(package.name, package.supported, package.installed, problem)


def _examine_extra(
    name: str, packages: Sequence[Package], examined: Mapping[str, ExaminedPackage]
) -> ExaminedExtra:
    known = [examined[canonicalize_name(package.name)] for package in packages]
    missing = tuple(package.name for package in known if package.installed is None)
    unusable = tuple(package.name for package in known if package.problem is not None)
    return ExaminedExtra(name, missing, unusable, install_line(name))


def _facts(loaded: Mapping[str, Loaded], module: str) -> dict[str, Any]:
    return loaded[module].facts if module in loaded else {}


def _list_notes(loaded: Mapping[str, Loaded]) -> Iterator[str]:
    """What is no fault, and may be wanted otherwise."""
    torch = _facts(loaded, "torch")
    if torch.get("cuda_build") and not torch.get("cuda"):
        yield (
            f"torch is a build for CUDA {torch['cuda_build']} and finds no GPU: the CPU build takes a fifth "
            "of the disk (docs/installing.md)"
        )


def _list_problems(
    packages: Mapping[str, ExaminedPackage],
    extras: Sequence[ExaminedExtra],
    providers: Mapping[str, str | None],
    required: Sequence[str],
) -> Iterator[str]:
    for package in packages.values():
        if package.problem is not None:
            yield f"`{package.name}` {package.problem}"
    for extra in extras:
        if extra.missing and (extra.name == CORE or extra.name in required):
            name = f"the extra `{extra.name}`" if extra.name else "adaptact"
            yield f"{name} lacks {', '.join(extra.missing)}: {extra.install}"
    if providers.get(CPU) is not None:
        yield f"ONNX Runtime does not compute on the CPU: {providers[CPU]}"
    both = [packages[name] for name in ("onnxruntime", "onnxruntime-gpu") if name in packages]
    if len([package for package in both if package.installed is not None]) == 2:
        yield "`onnxruntime` and `onnxruntime-gpu` overwrite each other's files: uninstall both, install one"

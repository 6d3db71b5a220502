"""What each extra of adaptact requires, and which version of it is installed."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from adaptact.installation import DISTRIBUTION, find_clone

CORE = ""
"""The extra of what adaptact always needs."""
INNER = ("dev", "docs", "serve-core")
"""Extras that nobody asks for by name, or who develops adaptact alone."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that an extra requires: the versions that are supported, and the one that is installed."""

    name: str
    supported: str
    installed: str | None
    is_supported: bool
    """Whether the installed version is among the supported ones."""


def read_extras() -> dict[str, tuple[Package, ...]]:
    """The packages of each extra, those of other extras that it asks for among them; CORE comes first."""
    declared = _read_pyproject() if find_clone() is not None else _read_metadata()
    return {extra: tuple(_resolve(extra, declared, []).values()) for extra in declared if extra not in INNER}


def _read_pyproject() -> dict[str, list[str]]:
    """Of a clone, whose installation may be older than its files."""
    clone = find_clone()
    assert clone is not None
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {CORE: project["dependencies"], **project["optional-dependencies"]}


def _read_metadata() -> dict[str, list[str]]:
    declared: dict[str, list[str]] = {CORE: []}
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return declared
    for line in lines:
        text, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" )'\"") if "extra ==" in marker else CORE
        condition = marker.partition("extra ==")[0].strip().removesuffix("and").strip(" ()")
        declared.setdefault(extra, []).append(f"{text.strip()}; {condition}" if condition else text.strip())
    return declared


def _resolve(extra: str, declared: Mapping[str, Sequence[str]], above: Sequence[str]) -> dict[str, Package]:
    packages: dict[str, Package] = {}
    for requirement in _parse(declared.get(extra, ())):
        name = canonicalize_name(requirement.name)
        if name != DISTRIBUTION:
            packages[name] = _look_up(requirement)
            continue
        for other in sorted(requirement.extras - set(above)):
            packages |= _resolve(other, declared, [*above, extra])
    return packages


def _parse(lines: Iterable[str]) -> Iterable[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # of a newer form than this `packaging` knows
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def _look_up(requirement: Requirement) -> Package:
    supported = str(requirement.specifier)
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return Package(requirement.name, supported, None, is_supported=False)
    try:
        fits = requirement.specifier.contains(installed, prereleases=True)
    except (InvalidVersion, TypeError):  # metadata without a version
        fits = False
    return Package(requirement.name, supported, str(installed), fits)

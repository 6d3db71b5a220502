"""Runs on the machines of a cluster: what they need of here is sent, what they finish comes back as files.

The user's own code is sent where it lies in the working folder; code that is installed, and data, have to be
on every machine, and to be the same, which their digests show.
"""

import functools
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptact.cluster import TaskCluster, name_node
from adaptact.files import replace_file
from adaptive_act.checkpoint.factory import working_folder_last
from adaptive_act.errors import DataError, FactoryError, StudyError
from adaptive_act.study.own_code import digest_source
from adaptive_act.study.parallel import Execute, Result
from adaptive_act.study.specs import RunSpec, versions

CODE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class SharedWork:
    """What all runs have in common."""

    execute: Execute[Any]
    code: Mapping[str, bytes]
    """The user's own source files, by their paths in the working folder."""
    software: Mapping[str, str] = field(default_factory=versions)
    """The versions of the packages on which the numbers depend."""


@dataclass(frozen=True, slots=True)
class FinishedWork:
    """A run's result, and the files that keep it, the one that makes it count being the last."""

    key: str
    result: Any
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class ClusterMachines:
    """Runs take place on a cluster, at most so many at once; their files are written here, each whole."""

    cluster: TaskCluster
    most: int | None = None

    def run(
        self, execute: Execute[Result], specs: Sequence[RunSpec], folder: Path
    ) -> Iterator[tuple[str, Result]]:
        """The key and the result of each spec, as they finish; a run whose machine is lost begins anew."""
        names = {name for spec in specs for name in list_own_code(spec)}
        work = SharedWork(execute, collect_code(sorted(names)))
        for _, finished in self.cluster.map(run_elsewhere, work, specs, self.most):
            for name, content in finished.files.items():
                with replace_file(folder / name) as path:
                    path.write_bytes(content)
            yield finished.key, finished.result


def run_elsewhere(work: SharedWork, spec: RunSpec) -> FinishedWork:
    """What a machine of the cluster does; raises the errors of a run, with the machine's name."""
    _require_same_versions(work.software)
    try:
        _import_code(work.code)
        _require_same_code(spec)
        with tempfile.TemporaryDirectory(prefix="adaptact-run-") as folder:
            key, result = work.execute(spec, Path(folder))
            files = sorted(Path(folder).rglob("*.*"), key=lambda path: path.suffix == ".json")
            content = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    except (DataError, FactoryError) as error:
        raise type(error)(
            f"on node {name_node()}: {error}; data, and code that is installed, have to be on every node, "
            "under the same path"
        ) from error
    finally:
        _remove_code(work.code)
    return FinishedWork(key, result, content)


def list_own_code(spec: RunSpec) -> tuple[str, ...]:
    """The names of the user's own network and training loop, as far as the run has such."""
    own = () if spec.architecture.is_built_in else (spec.architecture.name,)
    return own if spec.training.loop is None else (*own, spec.training.loop)


def collect_code(names: Sequence[str]) -> dict[str, bytes]:
    """The source files in the working folder that define these, with their whole package where they have one.

    Raises StudyError where there is too much of it.
    """
    files: dict[str, bytes] = {}
    for top in {name.partition(":")[0].partition(".")[0] for name in names}:
        for path in _find_sources(top):
            files[str(path.relative_to(Path.cwd()))] = path.read_bytes()
    size = sum(map(len, files.values()))
    if size > CODE_BYTES:
        raise StudyError(
            f"the code to send has {size} bytes, at most {CODE_BYTES}; install it on every node instead"
        )
    return files


def _find_sources(top: str) -> list[Path]:
    """The files of the module or package of this name in the working folder; none where it lies elsewhere."""
    with working_folder_last():
        found = importlib.util.find_spec(top)
    if found is None:
        return []
    files = [Path(found.origin)] if found.origin is not None else []
    for folder in found.submodule_search_locations or ():
        files += sorted(Path(folder).rglob("*.py"))
    places = dict.fromkeys(path.absolute() for path in files)
    return [path for path in places if path.is_relative_to(Path.cwd()) and _is_own(path)]


def _is_own(path: Path) -> bool:
    """Whether it is no file of an environment that lies in the working folder."""
    return "site-packages" not in path.parts


@functools.cache
def _make_code_folder() -> Path:
    """A folder of this process, where modules are looked for last."""
    folder = tempfile.mkdtemp(prefix="adaptact-code-")
    sys.path.append(folder)
    return Path(folder)


def _import_code(code: Mapping[str, bytes]) -> None:
    """The source files can be imported, where nothing else has their names."""
    for name, content in code.items():
        path = _make_code_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    importlib.invalidate_caches()


def _remove_code(code: Mapping[str, bytes]) -> None:
    """Nothing but an empty folder is left on the machine: a process there is ended without notice."""
    for top in {Path(name).parts[0] for name in code}:
        path = _make_code_folder() / top
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _require_same_versions(expected: Mapping[str, str]) -> None:
    """Raises StudyError where a run would have other numbers here, and another key."""
    found = versions()
    others = [
        f"{name} {found[name]}, expected {wanted}"
        for name, wanted in expected.items()
        if found[name] != wanted
    ]
    if others:
        raise StudyError(
            f"node {name_node()} has {'; '.join(others)}; install the same version on every node"
        )


def _require_same_code(spec: RunSpec) -> None:
    names = list_own_code(spec)
    if digest_source(names) != spec.code_digest:
        quoted = ", ".join(f"`{name}`" for name in names)
        raise StudyError(
            f"node {name_node()} has another version of the code of {quoted}; "
            "install the same on every node, or run the study from the folder in which it lies"
        )

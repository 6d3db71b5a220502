"""The code that builds a model's architecture, and which code a file may name.

A checkpoint that could name any callable would be a command to run. So the factory that a *file* names is
used only if its module's source, read before anything is imported, defines it as an `nn.Module` class or
marks it with `@model_factory`. A factory that the *user* names is trusted.

Both are looked for where Python finds modules, and last of all in the current folder, which is on the path
only meanwhile: a file `torch.py` or `serve.py` there takes no other module's place.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from adaptact.suggestions import suggest
from adaptive_act.errors import FactoryError

Factory = Callable[..., nn.Module]
_F = TypeVar("_F", bound=Factory)
_MARK = "__adaptact_model_factory__"
BUILD_ERRORS = (
    *(ArithmeticError, AttributeError, ImportError, LookupError),
    *(OSError, RuntimeError, TypeError, ValueError),
)
"""What a factory may raise while it builds a model."""
_LARGEST_SOURCE = 4 * 2**20  # bytes
_UNMARKED = (
    "is neither an nn.Module class nor marked with `@adaptive_act.model_factory` in the source of its "
    "module, so it is not run"
)
_NAME_ONE = (
    "name one that you know and trust yourself: `--factory package.module:callable`, or `factory=` in Python"
)


def model_factory(function: _F) -> _F:
    """The same function, marked as one that builds a model, so that a checkpoint may name it."""
    setattr(function, _MARK, True)
    return function


def resolve_factory(name: str, *, trusted: bool) -> Factory:
    """The callable `name`, written "package.module:callable".

    `trusted` says that the user named it. Otherwise a file did, and it must be an `nn.Module` class or be
    marked with `@model_factory`; its module is imported only after its source has shown that.
    Raises FactoryError where it is missing, unmarked, or cannot be imported.
    """
    module_name, separator, attribute = name.partition(":")
    names = (*module_name.split("."), *attribute.split("."))
    if not separator or not all(part.isidentifier() for part in names):
        raise FactoryError(f"expected a factory as `package.module:callable`, got `{name}`")
    with working_folder_last():
        if not trusted:
            _require_marked_source(name, module_name, attribute)
        try:
            factory: object = importlib.import_module(module_name)
            for part in attribute.split("."):
                factory = getattr(factory, part)
        except (ImportError, AttributeError) as error:
            hidden = _describe_hidden(module_name) or _suggest_other(module_name, attribute)
            raise FactoryError(f"factory `{name}` cannot be imported: {error}{hidden}") from error
    if not callable(factory):
        raise FactoryError(f"factory `{name}` is not callable, it is a `{type(factory).__name__}`")
    if not trusted and not is_marked(factory):
        raise FactoryError(f"the file names the factory `{name}`, which {_UNMARKED}; {_NAME_ONE}")
    return factory


def _suggest_other(module_name: str, attribute: str) -> str:
    """A question for the callable that was probably meant, where the module is there; else nothing."""
    module = sys.modules.get(module_name)
    if module is None or hasattr(module, attribute):
        return ""
    known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    meant = suggest(attribute, known)
    return f"; {meant}" if meant else ""


@contextmanager
def working_folder_last() -> Iterator[None]:
    """Inside it, a module that is found nowhere else is found in the current folder."""
    folder = None
    with suppress(OSError):  # it was removed
        folder = str(Path.cwd())
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code took it off
            sys.path.remove(folder)


def build_model(factory: Factory, kwargs: Mapping[str, Any]) -> nn.Module:
    """The model that the factory builds; raises FactoryError where it fails or gives anything else."""
    called = getattr(factory, "__qualname__", repr(factory))
    try:
        with working_folder_last():
            model: object = factory(**kwargs)
    except BUILD_ERRORS as error:
        raise FactoryError(f"factory `{called}` failed with {dict(kwargs)}: {error}") from error
    if not isinstance(model, nn.Module):
        raise FactoryError(f"factory `{called}` gave a `{type(model).__name__}`, expected an nn.Module")
    return model


def is_marked(factory: object) -> bool:
    """Whether a checkpoint may name it: an `nn.Module` class, or a function marked with `@model_factory`."""
    is_module = isinstance(factory, type) and issubclass(factory, nn.Module)
    return is_module or getattr(factory, _MARK, False) is True


def factory_name(factory: str | Factory) -> str:
    """The "package.module:callable" by which another process finds `factory`."""
    if isinstance(factory, str):
        return factory
    name = f"{factory.__module__}:{factory.__qualname__}"
    if factory.__module__ == "__main__" or "<" in name:
        raise FactoryError(
            f"factory `{name}` cannot be found by another process: define it at the top level of a module "
            "that can be imported"
        )
    return name


def _require_marked_source(name: str, module: str, attribute: str) -> None:
    """Raises FactoryError unless the module's source, unexecuted, defines it marked, or as a class."""
    path = _find_source(module)
    if path is None:
        raise FactoryError(
            f"the file names the factory `{name}`, and no source of a module `{module}` is found, neither "
            "among the installed packages nor in the current folder; run the command in the folder that "
            f"holds it, or {_NAME_ONE}"
        )
    if not _is_marked_in_source(path, attribute):
        hidden = _describe_hidden(module)
        raise FactoryError(f"the file names the factory `{name}`, which {_UNMARKED}{hidden}; {_NAME_ONE}")


def _describe_hidden(module: str) -> str:
    """That a file of the current folder is not the module, since another one has its name; else nothing."""
    own, loaded = Path(f"{module.partition('.')[0]}.py"), sys.modules.get(module.partition(".")[0])
    other = getattr(loaded, "__file__", None)
    if loaded is None or not own.is_file() or (other is not None and own.samefile(other)):
        return ""
    return f"; `{own}` in the current folder is not it, since an installed module has its name: rename it"


def _is_marked_in_source(path: Path, attribute: str) -> bool:
    if path.stat().st_size > _LARGEST_SOURCE:
        return False
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(_is_marked_definition(node, attribute) for node in tree.body)


def _is_marked_definition(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef) and node.name == name:
        return any(ast.unparse(mark).split(".")[-1] == "model_factory" for mark in node.decorator_list)
    if isinstance(node, ast.ClassDef) and node.name == name:
        return bool(node.bases)  # whether it is a Module shows after the import
    return False


def _find_source(module: str) -> Path | None:
    """The module's source file, found without importing it or its parents."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return _python_source(getattr(loaded, "__file__", None))
    search: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:length]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    return _python_source(spec.origin if spec is not None else None)


def _python_source(path: str | None) -> Path | None:
    return Path(path) if path is not None and path.endswith(".py") else None

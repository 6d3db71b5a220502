"""Modules of other libraries, imported when a model of them is asked for."""

import importlib
import warnings
from types import ModuleType

from adaptive_act.errors import LibraryError


def name_origin(model: str, library: str) -> str:
    """The model, and the version of the library that has it, in words."""
    version = getattr(importlib.import_module(library), "__version__", "of an unknown version")
    return f"`{model}` of {library} {version}"


def import_library(module: str, source: str) -> ModuleType:
    """The module. Raises LibraryError where it, or what it needs itself, is missing or broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their own deprecations
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = (error.name or module).partition(".")[0]
        raise LibraryError(
            f"`{source}` needs `{name}`, which is not installed", hint=f"pip install {name}"
        ) from error
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise LibraryError(
            f"`{source}` needs `{module}`, which cannot be imported: {' '.join(str(error).split())[:300]}"
        ) from error

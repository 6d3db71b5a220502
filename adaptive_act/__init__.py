"""Activations that learn their shape: swapped into a trained model, trained, saved and shown.

Torch is loaded once one of the names is asked for, so that a command that needs none answers at once.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptive_act.activations import *  # noqa: F403  # mypy does not follow one star through another
    from adaptive_act.public import *  # noqa: F403
else:  # where a type checker saw this, it would take every name for one of ours

    def __getattr__(name: str) -> object:
        """A module of the package, or a public name, all of which are loaded then."""
        is_pythons = name.startswith("__") and name != "__all__"
        if is_pythons or not name.isidentifier():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if find_spec(f"{__name__}.{name}") is not None:
            return import_module(f"{__name__}.{name}")
        public = import_module(f"{__name__}.public")
        globals().update({each: getattr(public, each) for each in ("__all__", *public.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        """The public names, and what else is loaded."""
        __getattr__("__all__")
        return sorted(globals())

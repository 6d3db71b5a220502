"""The manifest inside an .onnx file, and its signature. Standard library only."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert.manifest.manifest import Manifest

__all__ = ["Manifest"]


def __getattr__(name: str) -> Any:
    """Import the class at its first use: most servers need the names of entries only."""
    if name not in __all__:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from convert.manifest.manifest import Manifest  # noqa: PLC0415

    return Manifest

"""The evidence inside an .onnx file, and its signature. Standard library only."""

from convert.manifest.decode import ManifestError
from convert.manifest.manifest import FORMAT, KEY, Manifest

__all__ = ["FORMAT", "KEY", "Manifest", "ManifestError"]

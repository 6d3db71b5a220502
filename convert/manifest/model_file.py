"""What an ONNX file says of a model besides what it computes, read without onnx: shapes and metadata.

Standard library only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.errors import SourceError
from convert.manifest.decode import ManifestError
from convert.manifest.description import Shape
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest
from convert.manifest.signed_file import read_bytes
from convert.manifest.wire import list_fields, read_metadata, read_text

# The fields' numbers in onnx.proto, of ModelProto, GraphProto, TensorProto, ValueInfoProto and so on.
_GRAPH = 7
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TENSOR_NAME, _VALUE_NAME = 8, 1
_WAY_TO_SHAPE = (2, 1, 2)  # the value's type, which is that of a tensor, and its shape
_DIMENSION, _SIZE = 1, 1
_LARGEST_SIZE = 2**63


@dataclass(frozen=True, slots=True)
class ModelContent:
    """An ONNX file: its bytes, and what they say besides the computation."""

    path: Path
    content: bytes
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    metadata: Mapping[str, str]
    manifest: Manifest | None
    """None in a file that adaptact did not write."""

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.path.name


def read_model_content(path: Path) -> ModelContent:
    """The file at `path`. Raises SourceError where it is no ONNX model, or its manifest cannot be read."""
    content = read_bytes(path)
    try:
        inputs, outputs = _read_shapes(content)
        metadata = read_metadata(content)
    except ValueError as error:
        raise SourceError(f"`{path}` is not an ONNX model: {error}") from error
    if not outputs:
        raise SourceError(f"`{path}` is not an ONNX model: it has no graph with outputs")
    text = metadata.get(MANIFEST_KEY)
    try:
        manifest = None if text is None else Manifest.from_json(text)
    except ManifestError as error:
        raise SourceError(f"`{path}`: {error}") from error
    return ModelContent(path, content, tuple(inputs), tuple(outputs), metadata, manifest)


def _read_shapes(content: bytes) -> tuple[list[Shape], list[Shape]]:
    """The inputs, without the weights that older files list among them, and the outputs."""
    inputs: list[Shape] = []
    outputs: list[Shape] = []
    weights: set[str] = set()
    for graph in _select(memoryview(content), _GRAPH):
        weights |= {read_text(tensor, _TENSOR_NAME) for tensor in _select(graph, _INITIALIZER)}
        inputs += map(_read_shape, _select(graph, _INPUT))
        outputs += map(_read_shape, _select(graph, _OUTPUT))
    return [shape for shape in inputs if shape[0] not in weights], outputs


def _read_shape(value: memoryview) -> Shape:
    shapes = [value]
    for field in _WAY_TO_SHAPE:
        shapes = [part for shape in shapes for part in _select(shape, field)]
    sizes = [_read_size(dimension) for shape in shapes for dimension in _select(shape, _DIMENSION)]
    return read_text(value, _VALUE_NAME), sizes


def _read_size(dimension: memoryview) -> int | None:
    """The size; None where it is free, or has but a name."""
    sizes = [size for number, size in list_fields(dimension) if number == _SIZE and isinstance(size, int)]
    return sizes[-1] if sizes and sizes[-1] < _LARGEST_SIZE else None  # beyond it, a negative one


def _select(content: memoryview, field: int) -> Iterator[memoryview]:
    """The bytes of each field of this number."""
    return (body for number, body in list_fields(content) if number == field and not isinstance(body, int))

"""The last stage: one file of standard operators with its evidence, nothing private, whole or not at all."""

import tempfile
from importlib.metadata import version
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from adaptive_act.atomic import replacing
from convert.artefact.external import LARGEST, weights
from convert.errors import DestinationError, ExportError
from convert.manifest import KEY, Manifest


def serialise(model: ir.Model, manifest: Manifest | None = None) -> bytes:
    """The file's bytes: the graph without the exporter's metadata (paths, stack traces), and the manifest.

    The same model and manifest give the same bytes. Raises ExportError where the file would be too large.
    """
    size = weights(model)
    if size > LARGEST:
        raise ExportError(
            f"the weights take {size} bytes, expected at most {LARGEST} in one file",
            hint="put them beside it: --external-data auto",
        )
    clean = _stripped(model)
    clean.producer_name, clean.producer_version = "adaptact", version("adaptact")
    if manifest is not None:
        clean.metadata_props[KEY] = manifest.to_json()
    return bytes(ir.to_proto(clean).SerializeToString(deterministic=True))


def _stripped(model: ir.Model) -> ir.Model:
    clean = model.clone()
    ClearMetadataAndDocStringPass()(clean)
    graph = clean.graph
    graph.metadata_props.clear()
    graph.doc_string = clean.doc_string = None
    clean.metadata_props.clear()
    values = [
        *graph.inputs,
        *graph.initializers.values(),
        *(out for node in graph.all_nodes() for out in node.outputs),
    ]
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None
    return clean


def require_writable(destination: Path) -> None:
    """Raises DestinationError unless a file can be put there; nothing is left behind."""
    if destination.is_dir():
        raise DestinationError(
            f"`{destination}` is a folder, expected the name of a file such as `model.onnx`"
        )
    if not destination.parent.is_dir():
        raise DestinationError(f"the folder `{destination.parent}` does not exist", hint="make it first")
    try:
        tempfile.TemporaryFile(dir=destination.parent).close()
    except OSError as error:
        raise DestinationError(
            f"cannot write in `{destination.parent}`: {error.strerror or error}"
        ) from error


def write(destination: Path, content: bytes) -> None:
    """The file holds the content, or what it held before: never a part. External data lie beside it already.

    Raises ExportError where the content is no valid ONNX model, DestinationError where it cannot be written.
    """
    try:
        with replacing(destination) as temporary:
            temporary.write_bytes(content)
            # By its path, since only then does the checker look for external data.
            onnx.checker.check_model(str(temporary), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX checker refuses the file: {str(error).splitlines()[0][:300]}") from error
    except OSError as error:
        raise DestinationError(f"cannot write `{destination}`: {error.strerror or error}") from error

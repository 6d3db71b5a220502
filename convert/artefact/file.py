"""The ONNX file: standard operators and the manifest, nothing private, written whole or not at all."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from adaptact.files import replace_file
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.errors import DestinationError, ExportError, UsageError
from convert.manifest.entries import MANIFEST_KEY
from convert.manifest.manifest import Manifest


def serialise(model: ir.Model, manifest: Manifest | None = None) -> bytes:
    """The file's bytes: the graph without the exporter's metadata (paths, stack traces), and the manifest.

    The same model and manifest give the same bytes. Raises ExportError where the file would be too large.
    """
    size = count_weight_bytes(model)
    if size > LARGEST:
        raise ExportError(
            f"the weights take {size} bytes, expected at most {LARGEST} in one file",
            hint="put them beside it: --external-data auto",
        )
    clean = _strip(model)
    clean.ir_version = _find_format(clean.opset_imports[""])
    clean.producer_name, clean.producer_version = "adaptact", version("adaptact")
    content = bytes(ir.to_proto(clean).SerializeToString(deterministic=True))
    return content if manifest is None else append_manifest(content, manifest)


def append_manifest(content: bytes, manifest: Manifest) -> bytes:
    """The bytes of `serialise` without a manifest, and the manifest behind them.

    Protobuf reads two concatenated messages as one, so the graph's bytes are those that parity has judged.
    """
    entry = onnx.StringStringEntryProto(key=MANIFEST_KEY, value=manifest.to_json())
    return content + bytes(onnx.ModelProto(metadata_props=[entry]).SerializeToString(deterministic=True))


def _find_format(opset: int) -> int:
    """The version of ONNX's format that came with the opset: a runtime of that time reads no newer one."""
    return int(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]))


def _strip(model: ir.Model) -> ir.Model:
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


def require_apart(source: Path, destination: Path) -> None:
    """Raises UsageError where both are one file."""
    # Not by their methods, which raise where a folder on the way may not be searched.
    if os.path.exists(destination) and os.path.exists(source) and destination.samefile(source):
        raise UsageError(f"`{destination}` is the file to convert; write to another one")


def require_writable(destination: Path) -> None:
    """Raises DestinationError unless a file can be written there; nothing is left behind.

    Only a plain file is ever replaced, though root could replace others: `/dev/null` would become a file.
    """
    try:
        _require_replaceable(destination)
        tempfile.TemporaryFile(dir=destination.parent).close()
    except OSError as error:
        raise DestinationError(
            f"cannot write `{destination}`: {error.strerror or error}",
            hint="name another file, in a folder that you may write to",
        ) from error


def _require_replaceable(destination: Path) -> None:
    if destination.is_symlink():
        raise DestinationError(
            f"`{destination}` is a link to `{destination.readlink()}`, expected a file, or nothing yet",
            hint="name the file that it leads to, or remove the link",
        )
    if destination.is_dir():
        raise DestinationError(
            f"`{destination}` is a folder, expected the name of a file",
            hint=f"name a file in it: {destination / 'model.onnx'}",
        )
    if destination.exists() and not destination.is_file():
        raise DestinationError(
            f"`{destination}` is a device, a pipe or a socket, expected a file, or nothing yet",
            hint="write to a file and pass that on",
        )
    if not destination.parent.is_dir():
        raise DestinationError(
            f"the folder `{destination.parent}` of `{destination.name}` does not exist",
            hint=f"make it first: mkdir -p '{destination.parent}'",
        )


def write_model(destination: Path, content: bytes) -> None:
    """The file holds the content, or after an error what it held before. External data are written before.

    Raises ExportError where the content is no valid ONNX model, DestinationError where it cannot be written.
    """
    try:
        with replace_file(destination) as temporary:
            temporary.write_bytes(content)
            # By its path: only then does the checker look for external data.
            onnx.checker.check_model(str(temporary), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX checker refuses the file: {str(error).splitlines()[0][:300]}") from error
    except OSError as error:
        raise DestinationError(
            f"cannot write `{destination}`: {error.strerror or error}",
            hint=f"it takes {len(content):,} bytes there",
        ) from error

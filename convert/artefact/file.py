"""The ONNX file: standard operators and the manifest, nothing private, written whole or not at all."""

from importlib.metadata import version
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from adaptact.files import replace_file
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.errors import DestinationError, ExportError
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

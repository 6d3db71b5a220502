"""Whether ONNX Runtime multiplies by small weights as they are, which it decides as it loads a graph."""

import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort

from convert.artefact.external import LARGEST, count_weight_bytes
from convert.artefact.file import serialise

_ERRORS_ONLY = 3


def find_expanded(model: ir.Model) -> set[str]:
    """The names of the `DequantizeLinear` that ONNX Runtime would compute in every run, on the CPU.

    None is known of a graph too large for one file.
    """
    if count_weight_bytes(model) > LARGEST:
        return set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = 1
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(serialise(model), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(path).graph.node
        return {node.name for node in nodes if node.op_type == "DequantizeLinear"}

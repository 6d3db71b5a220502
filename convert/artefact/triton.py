"""Triton's `config.pbtxt` for a converted model: what its ONNX Runtime backend otherwise has to guess.

Source: Triton Inference Server, Model Configuration,
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

import json
from collections.abc import Mapping, Sequence

from convert.errors import UsageError
from convert.manifest.manifest import Manifest, TensorRecord

_TYPES: Mapping[str, str] = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
}


def config_pbtxt(manifest: Manifest) -> str:
    """The configuration of a model whose name is that of its folder, `model.onnx` in the folder `1` below.

    Triton joins requests into batches where every input and output begins with one and the same free size,
    up to the largest batch that parity was judged on; else it passes each on as it comes.
    """
    batch = _largest_batch(manifest)
    lines = ['backend: "onnxruntime"', f"max_batch_size: {batch}"]
    if batch:
        lines.append("dynamic_batching { }")
    lines += [_tensor("input", one, batch) for one in manifest.inputs]
    lines += [_tensor("output", one, batch) for one in manifest.outputs]
    return "\n".join(lines) + "\n"


def _largest_batch(manifest: Manifest) -> int:
    """0 where the model takes no batches of any size."""
    tensors = (*manifest.inputs, *manifest.outputs)
    first = {one.shape[0] if one.shape else None for one in tensors}
    if len(first) != 1 or not isinstance(first.pop(), str):
        return 0
    return max(one.samples for one in manifest.parity.sets)


def _tensor(kind: str, tensor: TensorRecord, batch: int) -> str:
    written = _TYPES.get(tensor.dtype)
    if written is None:
        raise UsageError(f"{kind} `{tensor.name}` has type {tensor.dtype}, which Triton has no name for")
    shape = tensor.shape[1:] if batch else tensor.shape
    # A tensor of no axes, or of the batch alone, is one of a single number to Triton, and taken back here.
    dims = _sizes(shape) if shape else "[ 1 ]\n    reshape: { shape: [ ] }"
    name = json.dumps(tensor.name, ensure_ascii=False)
    return f"{kind} [\n  {{\n    name: {name}\n    data_type: {written}\n    dims: {dims}\n  }}\n]"


def _sizes(shape: Sequence[int | str]) -> str:
    return f"[ {', '.join(str(size) if isinstance(size, int) else '-1' for size in shape)} ]"

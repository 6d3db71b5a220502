"""Triton's `config.pbtxt` for a converted model: facts that its ONNX Runtime backend otherwise guesses.

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
    "string": "TYPE_STRING",
}


def render_config(manifest: Manifest) -> str:
    """The text of `config.pbtxt`, for a model that is named after its folder, with the file `1/model.onnx`.

    Triton joins requests into batches if every input and output begins with the same free size, up to the
    largest batch that parity was judged on; otherwise it passes on each request alone.
    """
    batch = _find_largest_batch(manifest)
    lines = ['backend: "onnxruntime"', f"max_batch_size: {batch}"]
    if batch:
        lines.append("dynamic_batching { }")
    lines += [_render_tensor("input", tensor, batch) for tensor in manifest.inputs]
    lines += [_render_tensor("output", tensor, batch) for tensor in manifest.outputs]
    return "\n".join(lines) + "\n"


def _find_largest_batch(manifest: Manifest) -> int:
    """0 where the model's batch size is not free, or takes no single sample, which Triton would send."""
    tensors = (*manifest.inputs, *manifest.outputs)
    first, *others = {tensor.shape[0] if tensor.shape else None for tensor in tensors}
    if others or not isinstance(first, str):
        return 0
    if not all(bounds.allow(1) for bounds in manifest.sizes if bounds.name == first):
        return 0
    return max(record.samples for record in manifest.parity.sets)


def _render_tensor(kind: str, tensor: TensorRecord, batch: int) -> str:
    data_type = _TYPES.get(tensor.dtype)
    if data_type is None:
        raise UsageError(f"{kind} `{tensor.name}` has type {tensor.dtype}, which Triton has no name for")
    shape = tensor.shape[1:] if batch else tensor.shape
    # A tensor without axes, or with the batch alone, has one number for Triton; `reshape` undoes that.
    dims = _render_sizes(shape) if shape else "[ 1 ]\n    reshape: { shape: [ ] }"
    name = json.dumps(tensor.name, ensure_ascii=False)
    return f"{kind} [\n  {{\n    name: {name}\n    data_type: {data_type}\n    dims: {dims}\n  }}\n]"


def _render_sizes(shape: Sequence[int | str]) -> str:
    return f"[ {', '.join(str(size) if isinstance(size, int) else '-1' for size in shape)} ]"

"""The one table of datatypes: the protocol's, numpy's and ONNX Runtime's."""

from dataclasses import dataclass

import numpy as np

# numpy has no bfloat16; a named two-byte field keeps its bits apart from UINT16's.
BFLOAT16 = np.dtype([("bfloat16", "<u2")])


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype: the protocol's name, numpy's dtype, ONNX Runtime's type."""

    name: str
    dtype: np.dtype[np.generic]
    onnx_type: str


DATATYPES = (
    Datatype("BOOL", np.dtype(np.bool_), "tensor(bool)"),
    Datatype("UINT8", np.dtype(np.uint8), "tensor(uint8)"),
    Datatype("UINT16", np.dtype(np.uint16), "tensor(uint16)"),
    Datatype("UINT32", np.dtype(np.uint32), "tensor(uint32)"),
    Datatype("UINT64", np.dtype(np.uint64), "tensor(uint64)"),
    Datatype("INT8", np.dtype(np.int8), "tensor(int8)"),
    Datatype("INT16", np.dtype(np.int16), "tensor(int16)"),
    Datatype("INT32", np.dtype(np.int32), "tensor(int32)"),
    Datatype("INT64", np.dtype(np.int64), "tensor(int64)"),
    Datatype("FP16", np.dtype(np.float16), "tensor(float16)"),
    Datatype("FP32", np.dtype(np.float32), "tensor(float)"),
    Datatype("FP64", np.dtype(np.float64), "tensor(double)"),
    Datatype("BF16", BFLOAT16, "tensor(bfloat16)"),
    Datatype("BYTES", np.dtype(np.object_), "tensor(string)"),
)

BY_NAME = {datatype.name: datatype for datatype in DATATYPES}
BY_DTYPE = {datatype.dtype: datatype for datatype in DATATYPES}
BY_ONNX_TYPE = {datatype.onnx_type: datatype for datatype in DATATYPES}

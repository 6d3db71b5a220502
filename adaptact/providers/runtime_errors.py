"""What ONNX Runtime, or a provider in it, raises on a graph that it cannot load or run.

Importing this module, unlike the others of the package, loads ONNX Runtime.
"""

from onnxruntime.capi import onnxruntime_pybind11_state as native

ORT_ERRORS: tuple[type[Exception], ...] = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.ModelLoadCanceled,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
)
"""They share no base class of their own."""

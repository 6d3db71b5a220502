"""One ONNX Runtime session: a file in, arrays in and out."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from serve.engine.datatypes import BFLOAT16, BY_ONNX_TYPE
from serve.engine.errors import ModelRefusedError, quoted
from serve.engine.providers import check_providers
from serve.engine.signature import Array, Signature, TensorSpec

BFLOAT16_ELEMENT = 16  # TensorProto.BFLOAT16
SILENT = 4  # only fatal messages: what goes wrong arrives as an exception and is logged by us

# They share no base class of their own.
ORT_ERRORS: tuple[type[Exception], ...] = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    MemoryError,
    UnicodeDecodeError,
)
INPUT_ERROR: type[Exception] = native.InvalidArgument


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How sessions are made: the threads of one run, and ONNX Runtime's providers, first one first."""

    threads: int
    providers: tuple[str, ...]


class Session:
    """A loaded model: its signature, its metadata, and `run`."""

    def __init__(self, path: Path, options: SessionOptions) -> None:
        """Load the file; raises `ModelRefusedError`, or `ProviderError` if ONNX Runtime fell back."""
        try:
            self._session = ort.InferenceSession(
                str(path), _native_options(options), providers=list(options.providers)
            )
            self.signature = Signature(
                inputs=tuple(_spec("input", value) for value in self._session.get_inputs()),
                outputs=tuple(_spec("output", value) for value in self._session.get_outputs()),
            )
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        except ORT_ERRORS as error:
            raise ModelRefusedError("ONNX Runtime cannot load it", detail=str(error)) from error
        check_providers(list(options.providers), self._session.get_providers())
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = SILENT
        self._has_bfloat16 = any(
            spec.datatype.dtype == BFLOAT16 for spec in self.signature.inputs + self.signature.outputs
        )

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs for inputs that fit the signature; raises one of `ORT_ERRORS`."""
        if self._has_bfloat16:
            return self._run_as_ort_values(inputs, outputs)
        arrays: list[Array] = self._session.run(outputs, inputs, self._run_options)
        return arrays

    def stop(self) -> None:
        """Make the runs in progress, and all later ones, fail at their next operator."""
        self._run_options.terminate = True

    def _run_as_ort_values(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        # `run` turns arrays into tensors by their numpy type, and numpy has none for bfloat16.
        feeds = {name: _ort_value(array) for name, array in inputs.items()}
        return [
            _array(value) for value in self._session.run_with_ort_values(outputs, feeds, self._run_options)
        ]


def _native_options(options: SessionOptions) -> ort.SessionOptions:
    made = ort.SessionOptions()
    made.log_severity_level = SILENT
    made.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    made.intra_op_num_threads = options.threads
    made.inter_op_num_threads = 1
    # Memory patterns are kept for every input shape ever seen, and clients choose the batch size.
    made.enable_mem_pattern = False
    # Spinning threads of idle models would take the cores from the busy ones.
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    made.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return made


def _spec(kind: str, value: ort.NodeArg) -> TensorSpec:
    datatype = BY_ONNX_TYPE.get(value.type)
    if datatype is None:
        raise ModelRefusedError(
            f"{kind} {quoted(value.name)} has type {quoted(value.type)}, which cannot be served"
        )
    return TensorSpec(value.name, datatype, tuple(value.shape))


def _ort_value(array: Array) -> ort.OrtValue:
    if array.dtype != BFLOAT16:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = np.ascontiguousarray(array).view(np.uint16)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16_ELEMENT)


def _array(value: ort.OrtValue) -> Array:
    if value.element_type() != BFLOAT16_ELEMENT:
        array: Array = value.numpy()
        return array
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(raw, BFLOAT16).reshape(value.shape())

"""One ONNX Runtime session: a file's bytes in, arrays in and out."""

import ctypes
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, thread_time

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from adaptact.providers.catalogue import ProviderName, find_provider
from adaptact.providers.provider import Precision, count_nodes
from convert.manifest.encoding import encode_outputs
from serve.engine.cuda_graphs import CudaGraphs
from serve.engine.datatypes import BFLOAT16, BY_ONNX_TYPE
from serve.engine.description import ModelDescription, describe_file
from serve.engine.errors import InvalidInputError, ModelRefusedError, quote
from serve.engine.free_sizes import require_free_sizes
from serve.engine.integer_limits import check_limits, find_limits
from serve.engine.loading import Cancellation
from serve.engine.manifest import read_manifest, read_size_bounds
from serve.engine.model_files import ModelFiles
from serve.engine.operators import (
    ABORTING_ON_EMPTY,
    SIZED_BY_SHAPES,
    check_not_empty,
    read_operators,
)
from serve.engine.processor_time import list_native_threads
from serve.engine.providers import SILENT, CudaOptions, explain_missing, make_run_options
from serve.engine.signature import Array, Signature, TensorSpec

BFLOAT16_ELEMENT = 16  # TensorProto.BFLOAT16
SHRINK_ARENA = "memory.enable_memory_arena_shrinkage"
FORMAT = "session.load_model_format"
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

DICTIONARIES = "seq(map("  # the type of what ZipMap makes of probabilities

# They share no base class of their own.
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
    RuntimeError,
    MemoryError,
    UnicodeDecodeError,
)
INPUT_ERROR: type[Exception] = native.InvalidArgument


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The threads of one run, and the provider that computes it."""

    threads: int
    provider: ProviderName = "cpu"
    cuda: CudaOptions = field(default_factory=CudaOptions)


class Session:
    """A loaded model: its signature, its metadata, its manifest, what describes it, and `run`."""

    def __init__(
        self,
        files: ModelFiles,
        options: SessionOptions,
        cancellation: Cancellation | None = None,
        more_outputs: Sequence[str] = (),
    ) -> None:
        """Load the files; raises `ModelRefusedError`, or `ProviderError` if the provider does not start.

        `more_outputs` are tensors inside the graph, given out too; for these a copy of the file is loaded.
        """
        others = list_native_threads() if options.threads > 1 else set()
        self.file_bytes = files.count_bytes()
        cancellation = cancellation or Cancellation()
        native_options = _make_options(files, options)
        cancellation.on_cancel(partial(native_options.set_load_cancellation_flag, True))
        try:
            with _choose_path(files, more_outputs) as path, explain_missing():
                self._session = _open(path, native_options, options)
                if _is_in_bfloat16(self._session, options):
                    self._session = _open(path, _make_options(files, options), options, "bf16")
            self.pool = _find_pool(options, others)
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.manifest = read_manifest(self.metadata)
            self.description = describe_file(self.metadata, self.manifest)
            signature = Signature(
                inputs=tuple(_read_spec("input", value) for value in self._session.get_inputs()),
                outputs=tuple(_read_spec("output", value) for value in self._session.get_outputs()),
            )
            self.signature = signature.bound(read_size_bounds(self.manifest))
            operators = read_operators(self._session)
        except ORT_ERRORS as error:
            raise ModelRefusedError("ONNX Runtime cannot load it", detail=str(error)) from error
        self.provider, self.threads = options.provider, options.threads
        if options.provider == "openvino" and self.manifest is None:
            self._require_free_sizes(Session(files, SessionOptions(1), cancellation), cancellation)
        self._limits = find_limits(options.provider, self.signature, self.manifest)
        self._aborts_on_empty = not operators.isdisjoint(ABORTING_ON_EMPTY)
        self._run_options = make_run_options()
        self.clock = _choose_clock(options)
        """What times a run: on the CPU, without what other processes take."""
        self._has_bfloat16 = any(
            spec.datatype.dtype == BFLOAT16 for spec in self.signature.inputs + self.signature.outputs
        )
        self._own_names: dict[str, str] = {}
        self._graphs: CudaGraphs | None = None
        if options.cuda.graph_rows and options.provider == "cuda":
            self._graphs = self._record_graphs(options.cuda, cancellation)
        # Nothing is recorded of a file in ONNX Runtime's own format.
        is_known = bool(operators) and operators <= SIZED_BY_SHAPES
        self.sized_by_shapes = is_known and not self._has_texts() and not self._graphs
        """Whether the time of a run follows from the shapes of its inputs alone: no value makes it long."""

    def describe(self, description: ModelDescription) -> None:
        """Let this description hold from now on, also for the outputs' names."""
        self.description = description
        names = description.outputs
        if names:
            own = [spec.name for spec in self.signature.outputs]
            self._own_names = dict(zip(names, own, strict=True))
            self.signature = self.signature.rename_outputs(names)

    @property
    def own_outputs(self) -> list[str]:
        """The outputs' names in the file, where they may be served under others."""
        return [self._own_names.get(spec.name, spec.name) for spec in self.signature.outputs]

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        options: ort.RunOptions | None = None,
    ) -> list[Array]:
        """The named outputs for inputs that fit the signature.

        Raises one of `ORT_ERRORS`, or `InvalidInputError` for an empty tensor that no run would survive, and
        for whole numbers that are too large.
        """
        options = options or self._run_options
        if self._own_names:
            outputs = [self._own_names[name] for name in outputs]
        if self._aborts_on_empty:
            check_not_empty(inputs)
        if self._limits:
            check_limits(inputs, self._limits)
        if self._has_bfloat16:
            return self._run_as_ort_values(inputs, outputs, options)
        if self._graphs is not None:
            return self._graphs.run(inputs, outputs, options)
        arrays: list[Array] = self._session.run(outputs, inputs, options)
        return arrays

    def run_and_release(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> None:
        """Run, and free the memory on the CPU that this run and earlier ones took; raises as `run`."""
        options = make_run_options()
        options.add_run_config_entry(SHRINK_ARENA, "cpu:0")
        self.run(inputs, outputs, options)

    def count_elsewhere(self) -> int:
        """How many operators its provider lacks, which ONNX Runtime's own kernels compute."""
        places = count_nodes(self._session)
        return sum(places.values()) - places.get(find_provider(self.provider).native, 0)

    def _require_free_sizes(self, exact: "Session", cancellation: Cancellation) -> None:
        """What the manifest proves of a file that has one."""
        with cancellation.limit_runs() as options:
            outputs = self.signature.choose_outputs(None)
            errors = (*ORT_ERRORS, InvalidInputError)
            require_free_sizes(self.signature, lambda given: exact.run(given, outputs, options), errors)

    def _has_texts(self) -> bool:
        return any(spec.datatype.name == "BYTES" for spec in self.signature.inputs)

    def _record_graphs(self, cuda: CudaOptions, cancellation: Cancellation) -> CudaGraphs:
        try:
            graphs = CudaGraphs(self._session, self.signature, cuda)
            with cancellation.limit_runs() as run_options:
                graphs.record(run_options)
        except ORT_ERRORS as error:
            raise ModelRefusedError("CUDA graphs of it cannot be recorded", detail=str(error)) from error
        return graphs

    def _run_as_ort_values(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], options: ort.RunOptions
    ) -> list[Array]:
        # `run` turns arrays into tensors by their numpy type, and numpy has none for bfloat16.
        feeds = {name: _to_ort_value(array) for name, array in inputs.items()}
        return [_to_array(value) for value in self._session.run_with_ort_values(outputs, feeds, options)]


def _choose_path(files: ModelFiles, more_outputs: Sequence[str]) -> AbstractContextManager[str]:
    if more_outputs:
        return files.extend(encode_outputs(list(more_outputs)))
    return nullcontext(files.path)


def _find_pool(options: SessionOptions, others: Set[int]) -> Set[int] | None:
    """The threads that run for this model only, by their system ids; None where it shares threads."""
    if options.threads == 1:
        return set()
    # OpenVINO's threads are those of the process.
    return None if options.provider == "openvino" else list_native_threads() - others


def _is_in_bfloat16(session: ort.InferenceSession, options: SessionOptions) -> bool:
    """Whether the file's gate allows bfloat16, and the provider has instructions for it here."""
    if not find_provider(options.provider).computes("bf16"):
        return False
    manifest = read_manifest(session.get_modelmeta().custom_metadata_map)
    return manifest is not None and manifest.get("precision") == "bf16"


def _open(
    path: str,
    native_options: ort.SessionOptions,
    options: SessionOptions,
    precision: Precision = "fp32",
) -> ort.InferenceSession:
    provider = find_provider(options.provider)
    more = options.cuda.native() if options.provider == "cuda" else {}
    device = options.cuda.device if provider.on_gpu else 0
    return provider.open(path, native_options, precision=precision, more=more, device=device)


def _choose_clock(options: SessionOptions) -> Callable[[], float]:
    """The calling thread's, where that works for the run alone, or the others are counted apart."""
    is_counted = options.provider == "cpu" or options.threads == 1
    return thread_time if is_counted and not find_provider(options.provider).on_gpu else perf_counter


def _make_options(files: ModelFiles, options: SessionOptions) -> ort.SessionOptions:
    result = ort.SessionOptions()
    result.log_severity_level = SILENT
    result.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    result.intra_op_num_threads = options.threads
    result.inter_op_num_threads = 1
    # Memory patterns are cached for every input shape ever seen, and clients choose the batch size.
    result.enable_mem_pattern = False
    # Spinning threads of idle models would take the cores from the busy ones. The one pool that sessions may
    # share instead of having their own has no such option in Python (ONNX Runtime 1.32).
    result.add_session_config_entry("session.intra_op.allow_spinning", "0")
    result.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if files.is_ort_format:
        result.add_session_config_entry(FORMAT, "ORT")
    result.add_session_config_entry(WEIGHTS_FOLDER, str(files.folder))
    if files.sidecars:
        names, contents = list(files.sidecars), list(files.sidecars.values())
        result.add_external_initializers_from_files_in_memory(names, contents, list(map(len, contents)))
    return result


def _read_spec(kind: str, value: ort.NodeArg) -> TensorSpec:
    datatype = BY_ONNX_TYPE.get(value.type)
    if datatype is None:
        remedy = "; `adaptact export` makes a tensor of it" if value.type.startswith(DICTIONARIES) else ""
        raise ModelRefusedError(
            f"{kind} {quote(value.name)} has type {quote(value.type)}, which cannot be served{remedy}"
        )
    return TensorSpec(value.name, datatype, tuple(value.shape))


def _to_ort_value(array: Array) -> ort.OrtValue:
    if array.dtype != BFLOAT16:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = np.ascontiguousarray(array).view(np.uint16)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16_ELEMENT)


def _to_array(value: ort.OrtValue) -> Array:
    if value.element_type() != BFLOAT16_ELEMENT:
        array: Array = value.numpy()
        return array
    size = value.tensor_size_in_bytes()
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(raw, BFLOAT16).reshape(value.shape())

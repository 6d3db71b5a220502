"""One ONNX Runtime session: a file's bytes in, arrays in and out."""

import ctypes
from collections.abc import Callable, Mapping, Sequence, Set
from time import perf_counter, thread_time

import numpy as np
import onnxruntime as ort

from adaptact.providers.catalogue import find_provider
from adaptact.providers.provider import count_nodes
from serve.engine.cuda_graphs import CudaGraphs
from serve.engine.datatypes import BFLOAT16
from serve.engine.description import ModelDescription, describe_file
from serve.engine.errors import InvalidInputError, ModelRefusedError
from serve.engine.free_sizes import require_free_sizes
from serve.engine.integer_limits import check_limits, find_limits
from serve.engine.loading import Cancellation
from serve.engine.manifest import read_manifest, read_size_bounds
from serve.engine.model_files import ModelFiles
from serve.engine.opening import (
    INPUT_ERROR,
    SESSION_ERRORS,
    Opener,
    SessionOptions,
    open_files,
    read_signature,
)
from serve.engine.operators import ABORTING_ON_EMPTY, SIZED_BY_SHAPES, check_not_empty
from serve.engine.processor_time import list_native_threads
from serve.engine.providers import CudaOptions, make_run_options
from serve.engine.signature import Array

BFLOAT16_ELEMENT = 16  # TensorProto.BFLOAT16
SHRINK_ARENA = "memory.enable_memory_arena_shrinkage"
__all__ = ["INPUT_ERROR", "SESSION_ERRORS", "Session", "SessionOptions"]


class Session:
    """A loaded model: its signature, its metadata, its manifest, what describes it, and `run`."""

    def __init__(
        self,
        files: ModelFiles,
        options: SessionOptions,
        cancellation: Cancellation | None = None,
        more_outputs: Sequence[str] = (),
        opener: Opener | None = None,
    ) -> None:
        """Load the files; raises `ModelRefusedError`, or `ProviderError` if the provider does not start.

        `more_outputs` are tensors inside the graph, given out too; for these a copy of the file is loaded.
        """
        others = list_native_threads() if options.threads > 1 else set()
        self.file_bytes = files.count_bytes()
        cancellation = cancellation or Cancellation()
        try:
            opened = opener(files, options, cancellation) if opener is not None else None
            opened = opened or open_files(files, options, cancellation, more_outputs)
            self._session = opened.native
            self.has_shared_weights = opened.has_shared_weights
            """Whether other processes that load the files have the same weights."""
            self.pool = _find_pool(options, others)
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            self.manifest = read_manifest(self.metadata)
            self.description = describe_file(self.metadata, self.manifest)
            self.signature = read_signature(self._session).bound(read_size_bounds(self.manifest))
            operators = opened.operators
        except SESSION_ERRORS as error:
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

        Raises one of `SESSION_ERRORS`, or `InvalidInputError` for an empty tensor that no run would survive,
        and for whole numbers that are too large.
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
            errors = (*SESSION_ERRORS, InvalidInputError)
            require_free_sizes(self.signature, lambda given: exact.run(given, outputs, options), errors)

    def _has_texts(self) -> bool:
        return any(spec.datatype.name == "BYTES" for spec in self.signature.inputs)

    def _record_graphs(self, cuda: CudaOptions, cancellation: Cancellation) -> CudaGraphs:
        try:
            graphs = CudaGraphs(self._session, self.signature, cuda)
            with cancellation.limit_runs() as run_options:
                graphs.record(run_options)
        except SESSION_ERRORS as error:
            raise ModelRefusedError("CUDA graphs of it cannot be recorded", detail=str(error)) from error
        return graphs

    def _run_as_ort_values(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], options: ort.RunOptions
    ) -> list[Array]:
        # `run` turns arrays into tensors by their numpy type, and numpy has none for bfloat16.
        feeds = {name: _to_ort_value(array) for name, array in inputs.items()}
        return [_to_array(value) for value in self._session.run_with_ort_values(outputs, feeds, options)]


def _find_pool(options: SessionOptions, others: Set[int]) -> Set[int] | None:
    """The threads that run for this model only, by their system ids; None where it shares threads."""
    if options.threads == 1:
        return set()
    # OpenVINO's threads are those of the process.
    return None if options.provider == "openvino" else list_native_threads() - others


def _choose_clock(options: SessionOptions) -> Callable[[], float]:
    """The calling thread's, where that works for the run alone, or the others are counted apart."""
    is_counted = options.provider == "cpu" or options.threads == 1
    return thread_time if is_counted and not find_provider(options.provider).on_gpu else perf_counter


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

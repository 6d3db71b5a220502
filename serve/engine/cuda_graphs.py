"""CUDA graphs: for fixed batch sizes a run is recorded once and then replayed as one launch.

A graph reads and writes the addresses of its recording, so each batch size has tensors of its own on the
device, requests are padded to the next size, and one thread at a time may run.

Source: ONNX Runtime, Using CUDA Graphs,
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from serve.engine.providers import CudaOptions
from serve.engine.signature import Array, Signature, TensorSpec

GRAPH = "gpu_graph_id"
NOT_RECORDED = "-1"
# The first run allocates what it needs, which a recording may not; the next records.
RUNS_TO_RECORD = 2


@dataclass(frozen=True, slots=True)
class RecordedGraph:
    """The tensors on the device for one number of rows, bound to the session."""

    rows: int
    inputs: Mapping[str, ort.OrtValue]
    outputs: Mapping[str, ort.OrtValue]
    binding: ort.IOBinding


class CudaGraphs:
    """Runs one session, through a recorded graph if the number of rows fits one."""

    def __init__(
        self, session: ort.InferenceSession, signature: Signature, cuda: CudaOptions, device: str = "cuda"
    ) -> None:
        """Start without recorded graphs."""
        self._session = session
        self._signature = signature
        rows = {rows for rows in cuda.graph_rows if signature.fit_rows(rows) == rows}
        self._rows = sorted(rows) if _has_fixed_row_shapes(signature) else []
        self._device, self._device_id = device, cuda.device
        self._graphs: dict[int, RecordedGraph] = {}
        self._lock = threading.Lock()

    def record(self, options: ort.RunOptions) -> None:
        """Record a graph for every size; a model that cannot be recorded raises the error of its run."""
        outputs = [spec.name for spec in self._signature.outputs]
        for rows in self._rows:
            inputs = {spec.name: _make_zeros(spec, rows) for spec in self._signature.inputs}
            for _ in range(RUNS_TO_RECORD):
                self.run(inputs, outputs, options)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], options: ort.RunOptions
    ) -> list[Array]:
        """The named outputs, replayed from a graph if the rows fit a recorded size, else run normally."""
        rows = next(iter(inputs.values())).shape[0] if self._rows else 0
        index = bisect_left(self._rows, rows)
        with self._lock:
            if not rows or index == len(self._rows):
                return self._run_unrecorded(inputs, outputs, options)
            graph = self._graph(self._rows[index])
            options.add_run_config_entry(GRAPH, str(graph.rows))
            for name, array in inputs.items():
                graph.inputs[name].update_inplace(_pad(array, graph.rows))
            self._session.run_with_iobinding(graph.binding, options)
            # The next run writes the same tensors, so the caller gets copies.
            return [graph.outputs[name].numpy()[:rows].copy() for name in outputs]

    def _run_unrecorded(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], options: ort.RunOptions
    ) -> list[Array]:
        options.add_run_config_entry(GRAPH, NOT_RECORDED)
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, options)
        arrays: list[Array] = binding.copy_outputs_to_cpu()
        return arrays

    def _graph(self, rows: int) -> RecordedGraph:
        if rows not in self._graphs:
            inputs = {spec.name: self._tensor(spec, rows) for spec in self._signature.inputs}
            outputs = {spec.name: self._tensor(spec, rows) for spec in self._signature.outputs}
            binding = self._session.io_binding()
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            for name, value in outputs.items():
                binding.bind_ortvalue_output(name, value)
            self._graphs[rows] = RecordedGraph(rows, inputs, outputs, binding)
        return self._graphs[rows]

    def _tensor(self, spec: TensorSpec, rows: int) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(_make_zeros(spec, rows), self._device, self._device_id)


def _make_zeros(spec: TensorSpec, rows: int) -> Array:
    sizes = [dim for dim in spec.shape[1:] if isinstance(dim, int)]
    return np.zeros((rows, *sizes), spec.datatype.dtype)


def _has_fixed_row_shapes(signature: Signature) -> bool:
    """Whether every tensor is numeric, and only its first size varies."""
    return all(
        spec.datatype.name not in ("BYTES", "BF16")
        and spec.shape
        and not isinstance(spec.shape[0], int)
        and all(isinstance(dim, int) for dim in spec.shape[1:])
        for spec in signature.inputs + signature.outputs
    )


def _pad(array: Array, rows: int) -> Array:
    """The array, with rows of zeros appended."""
    if array.shape[0] == rows:
        return np.ascontiguousarray(array)
    padded = np.zeros((rows, *array.shape[1:]), array.dtype)
    padded[: array.shape[0]] = array
    return padded

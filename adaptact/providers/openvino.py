"""Intel's OpenVINO, by its plug-in for ONNX Runtime."""

import json
import os
from typing import ClassVar

from adaptact.providers.plug_in import PlugInProvider
from adaptact.providers.provider import Options, Precision

_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoProvider(PlugInProvider):
    """OpenVINO's kernels for the CPU."""

    name = "openvino"
    native = "OpenVINOExecutionProvider"
    extra = "openvino"
    module = "onnxruntime_ep_openvino"
    whole_bits = 32
    # Of plug-in 1.8.1: a text ends the process, or is compared wrongly.
    unsuited: ClassVar = {
        "tensor(string)": "gets texts wrong",
        "tensor(double)": "computes float64 in float32",
    }
    unsuited_operators: ClassVar = {
        "GatherND": "reads past a table where an index is too large in `GatherND`"
    }

    def options(self, threads: int, precision: Precision) -> Options:
        """The options, all in `load_config`: the plug-in ignores its own `num_of_threads`.

        Source: OpenVINO, CPU device, https://docs.openvino.ai/2026/openvino-workflow/running-inference/
        inference-devices-and-modes/cpu-device.html
        """
        super().options(threads, precision)
        threads = threads or _count_cores()
        config = {
            # Where the processor has bfloat16 it would be taken for float32, unasked.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": str(threads),
            # One thread is the calling one: in a stream of one thread errors are lost (OpenVINO 2026.4), and
            # a run that fails gives the answer of the run before.
            "NUM_STREAMS": "1" if threads > 1 else "0",
            # It would keep its threads on cores of its own choice, the same ones in each process.
            "ENABLE_CPU_PINNING": "NO",
        }
        return {"load_config": json.dumps({"CPU": config})}

    def computes(self, precision: Precision) -> bool:
        """Whether it can: asked for what the processor lacks it takes another precision, and says nothing."""
        if precision == "fp32":
            return True
        able = self.find_devices()[0].ep_metadata.get("OPTIMIZATION_CAPABILITIES", "")
        return precision.upper() in able.split()

    def _no_device_hint(self) -> str:
        return "the plug-in runs on processors of Intel only; choose `cpu`"


def _count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

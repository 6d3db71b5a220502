"""Intel's OpenVINO, by its plug-in for ONNX Runtime."""

import json

from adaptact.providers.plug_in import PlugInProvider
from adaptact.providers.provider import Options, Precision

_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoProvider(PlugInProvider):
    """OpenVINO's kernels for the CPU."""

    name = "openvino"
    native = "OpenVINOExecutionProvider"
    extra = "openvino"
    module = "onnxruntime_ep_openvino"

    def options(self, threads: int, precision: Precision) -> Options:
        """The options, all in `load_config`: the plug-in ignores its own `num_of_threads`.

        Source: OpenVINO, CPU device, https://docs.openvino.ai/2026/openvino-workflow/running-inference/
        inference-devices-and-modes/cpu-device.html
        """
        config = {
            # Where the processor has bfloat16 it would be taken for float32, unasked.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            # It would keep its threads on cores of its own choice, the same ones in each process.
            "ENABLE_CPU_PINNING": "NO",
        }
        if threads:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        return {"load_config": json.dumps({"CPU": config})}

    def _no_device_hint(self) -> str:
        return "the plug-in runs on processors of Intel only; choose `cpu`"

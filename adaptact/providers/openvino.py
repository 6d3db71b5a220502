"""Intel's OpenVINO, by its plug-in for ONNX Runtime."""

import json
from functools import cache
from typing import ClassVar

from adaptact.cores import available_cores
from adaptact.providers.plug_in import PlugInProvider
from adaptact.providers.provider import Options, Ort, Precision

# y = Reshape(x, t), as ONNX writes it.
RESHAPE = bytes.fromhex(
    "08083a530a140a01780a01741201792207526573686170653a001201675a100a0178120b0a09080112050a031201"
    "4e5a0f0a0174120a0a08080712040a02080262150a017912100a0e0801120a0a031201410a0312014242040a0010"
    "11"
)
_SILENT = 4
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
        return {"load_config": json.dumps({"CPU": self._configure(threads, precision)})}

    def _configure(self, threads: int, precision: Precision) -> dict[str, str]:
        # It takes no more threads than cores, and one of a core would be a stream of its own.
        threads = min(threads or available_cores(), available_cores())
        return {
            # Where the processor has bfloat16 it would be taken for float32, unasked.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": str(threads),
            # One thread is the calling one: in a stream of one thread errors are lost (OpenVINO 2026.4), and
            # a run that fails gives the answer of the run before.
            "NUM_STREAMS": "1" if threads > 1 else "0",
            # It would keep its threads on cores of its own choice, the same ones in each process.
            "ENABLE_CPU_PINNING": "NO",
        }

    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        config = json.loads(native["load_config"])
        if config["CPU"]["NUM_STREAMS"] != "0" and self._loses_errors(native["load_config"]):
            config["CPU"] |= {"INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "0"}
        return super()._open(model, options, {**native, "load_config": json.dumps(config)}, device)

    @cache  # noqa: B019  # there is one provider of this name in a process
    def _loses_errors(self, config: str) -> bool:
        """Whether a run that must fail does not: where two processors are one core, it takes one thread."""
        import onnxruntime as ort  # noqa: PLC0415

        options = ort.SessionOptions()
        options.log_severity_level = _SILENT
        session = super()._open(RESHAPE, options, {"load_config": config}, 0)
        try:
            session.run(None, {"x": [0.0], "t": [2, 2]})
        except Exception:  # noqa: BLE001  # a class of its own for each way to fail, without a base
            return False
        return True

    def computes(self, precision: Precision) -> bool:
        """Whether it can: asked for what the processor lacks it takes another precision, and says nothing."""
        if precision == "fp32":
            return True
        able = self.find_devices()[0].ep_metadata.get("OPTIMIZATION_CAPABILITIES", "")
        return precision.upper() in able.split()

    def _no_device_hint(self) -> str:
        return "the plug-in runs on processors of Intel only; choose `cpu`"

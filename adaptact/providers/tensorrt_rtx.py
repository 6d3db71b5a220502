"""NVIDIA's TensorRT for RTX, by its plug-in for ONNX Runtime."""

import os

from adaptact.providers.plug_in import PlugInProvider

TF32 = "NVIDIA_TF32_OVERRIDE"
"""The variable that NVIDIA's libraries read: 0 multiplies float32 in full."""


class TensorRtRtxProvider(PlugInProvider):
    """TensorRT's kernels for NVIDIA's GPUs of compute capability 8.6, 8.9, and 12.0 or later.

    It compiles the kernels of a model in the first run of each new shape.
    """

    name = "tensorrt-rtx"
    native = "NvTensorRTRTXExecutionProvider"
    extra = "tensorrt-rtx"
    module = "onnxruntime_ep_nv_tensorrt_rtx"
    on_gpu = True

    def find_library(self) -> str:
        """Ask for full float32 first: the plug-in (0.5) has no option for it, and would multiply in TF32."""
        os.environ.setdefault(TF32, "0")
        return super().find_library()

    def _load_hint(self, library: str) -> str:
        return f"{super()._load_hint(library)}, and needs the driver of an NVIDIA GPU, for CUDA 13"

    def _no_device_hint(self) -> str:
        return (
            "the plug-in runs on NVIDIA GPUs of compute capability 8.6, 8.9, and 12.0 or later; choose `cuda`"
        )

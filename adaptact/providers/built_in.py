"""Providers that ONNX Runtime is built with, or not."""

from adaptact.errors import ProviderError
from adaptact.installation import install_line
from adaptact.providers.machine import adds_up_in_16_bits
from adaptact.providers.provider import Options, Ort, Precision, Provider, count_operators

EXACT_PRODUCTS = "session.x64quantprecision"
"""Has products of 8-bit numbers computed exactly, in more time, where they could overflow."""


class BuiltInProvider(Provider):
    """A provider inside ONNX Runtime's own library."""

    def is_installed(self) -> bool:
        """Whether this ONNX Runtime is built with it."""
        import onnxruntime as ort  # noqa: PLC0415

        return self.native in ort.get_available_providers()

    def require(self) -> None:
        """ProviderError where this ONNX Runtime is built without it."""
        if not self.is_installed():
            raise ProviderError(
                f"provider `{self.name}` was asked for, but this ONNX Runtime is built without it",
                f"`{install_line(self.extra)}`, or choose `cpu`",
            )

    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        import onnxruntime as ort  # noqa: PLC0415

        # With `enable_fallback` it would restart on another provider after an error, and only print a line.
        return ort.InferenceSession(
            model, options, providers=[(self.native, dict(native))], enable_fallback=0
        )


class CpuProvider(BuiltInProvider):
    """ONNX Runtime's own kernels for the CPU."""

    name = "cpu"
    native = "CPUExecutionProvider"
    extra = "serve"

    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        session = super()._open(model, options, native, device)
        # Only of rounded values: weights alone in 8 bits it would then compute wrongly (ONNX Runtime 1.32).
        if not adds_up_in_16_bits() or "QuantizeLinear" not in count_operators(session).get(self.native, {}):
            return session
        options.add_session_config_entry(EXACT_PRODUCTS, "1")
        return super()._open(model, options, native, device)


class CudaProvider(BuiltInProvider):
    """NVIDIA's GPUs, by the build of ONNX Runtime for them."""

    name = "cuda"
    native = "CUDAExecutionProvider"
    extra = "serve-cuda"
    on_gpu = True

    def require(self) -> None:
        """Load CUDA's libraries too."""
        super().require()
        import onnxruntime as ort  # noqa: PLC0415

        ort.preload_dlls()

    def options(self, threads: int, precision: Precision) -> Options:
        """Full float32: from Ampere on it would be multiplied with ten bits of mantissa."""
        return {**super().options(threads, precision), "use_tf32": "0"}

    def _open(self, model: bytes | str, options: Ort, native: Options, device: int) -> Ort:
        return super()._open(model, options, {**native, "device_id": str(device)}, device)

    def _start_hint(self) -> str:
        return "check the driver, the CUDA and cuDNN libraries, and that a GPU is visible"

"""An inference server for ONNX models."""

import os

# ONNX Runtime's wheels report their use to their maker unless told not to before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

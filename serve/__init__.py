"""An inference server for ONNX models."""

"""The versions of ONNX's operators that can be written."""

OPSETS = range(18, 24)
DEFAULT_OPSET = 20

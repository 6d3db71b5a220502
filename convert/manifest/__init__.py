"""The manifest inside an .onnx file, and its signature. Standard library only."""

"""From a trained model to a fast ONNX file."""

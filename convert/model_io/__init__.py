"""A model's inputs and outputs: names, shapes, samples, and running it in torch and in ONNX Runtime."""

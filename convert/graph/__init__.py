"""What rewrite rules share: an ONNX graph, its layers, scales, shifts, sums and layout."""

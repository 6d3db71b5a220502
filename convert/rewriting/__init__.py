"""What the rules are written in: an ONNX graph, its layers, its scales and shifts, its layout."""

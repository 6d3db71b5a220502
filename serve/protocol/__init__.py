"""The Open Inference Protocol: messages and tensors, in JSON and in binary."""

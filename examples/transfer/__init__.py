"""Fine-tuning on new classes with few examples, with and without activations that learn."""

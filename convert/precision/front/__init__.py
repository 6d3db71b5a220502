"""The front of loss against measured time: which places are worth rounding on the target."""

"""The execution providers of ONNX Runtime: which there are, what installs them, and sessions on them.

Importing it does not load ONNX Runtime: opening a session does.
"""

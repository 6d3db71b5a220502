"""The session that every program runs."""

from pathlib import Path

import onnxruntime as ort


def open_session(path: Path | str) -> ort.InferenceSession:
    """The model on one thread, which does not spin between requests."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

"""What one run is told."""

import onnxruntime as ort

SILENT = 4  # only fatal messages: what goes wrong arrives as an exception and is logged by us


def run_options() -> ort.RunOptions:
    """Options of a run of its own: `terminate` ends it at its next operator."""
    options = ort.RunOptions()
    options.log_severity_level = SILENT
    return options

"""The lowest and the highest values of each datatype that has a JSON form."""

from typing import Any

VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "BYTES": ["", "naïve\0text"],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-32768, 32767],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [-2.5, 65504.0],
    "FP32": [-2.5, 1 / 3],
    "FP64": [1e300, 1 / 3],
}

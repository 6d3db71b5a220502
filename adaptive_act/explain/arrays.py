"""Types of the numpy arrays in which findings are kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]
Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]

"""The arrays that samples, graphs and rules hold."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

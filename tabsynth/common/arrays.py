"""The array types that annotations share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Tokens = npt.NDArray[np.int32]
"""Token numbers of a codec, -1 where unknown."""

Arrays = dict[str, npt.NDArray[Any]]
"""Named arrays, as model files hold them."""

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


def check_numbers(
    array: npt.NDArray[Any],
    shape: tuple[int, ...],
    what: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    whole: bool = False,
) -> None:
    """Raise a ValueError unless an array of a model file has a shape and finite numbers from ``low`` to ``high``.

    Args:
        array: The array.
        shape: Its shape.
        what: What it is, in the message.
        low: Lowest number.
        high: Highest number.
        whole: Whether it has integers, else floats.
    """
    if array.shape != shape or array.dtype.kind not in ("iu" if whole else "f"):
        raise ValueError(f"{what}: an array of {array.dtype} of the shape {array.shape}, not {shape}")
    if not (np.isfinite(array).all() and (array >= low).all() and (array <= high).all()):
        raise ValueError(f"{what}: numbers that are not between {low:g} and {high:g}")


def check_finite(arrays: Arrays) -> None:
    """Raise a ValueError unless all floats in arrays of a model file are finite."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"the array {name!r} has numbers that are not finite")

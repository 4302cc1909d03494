"""Private partition selection: the values of a column whose noisy counts reach a threshold.

A value is released only if its noisy count reaches a threshold, which the values of a single unit exceed with
probability at most delta.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import discrete_gaussian_mu
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.canonical_cells import UNREADABLE, encode_text, to_text
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import gaussian_event, gaussian_scale, hash_arrays


def discover(
    read: Callable[[], pd.Series],
    *,
    rho: float,
    delta: float,
    ledger: PrivacyLedger,
    column: str,
    noise: Noise,
    max_rows_per_unit: int = 1,
) -> tuple[str, ...]:
    """Release the values of a column that many units share, as sorted text.

    The count of each value in the data gets discrete Gaussian noise; a value is released if its noisy count reaches
    ``threshold``. Unless a value of a single unit is released, which happens with probability at most ``delta``, this
    is Gaussian DP with mu = sqrt(2 rho).

    Args:
        read: Returns the column.
        rho: The budget to spend, half the squared mu of Gaussian DP.
        delta: The probability to spend.
        ledger: The ledger that is charged.
        column: The column's name.
        noise: Source of the noise.
        max_rows_per_unit: Maximum rows of a unit.

    Raises:
        PrivacyError: The budget does not allow it; nothing was read.
    """
    sigma = gaussian_scale(rho, max_rows_per_unit)
    min_count = threshold(sigma, delta, max_rows_per_unit)
    entry = ledger.charge(
        gaussian_event([max_rows_per_unit * discrete_gaussian_mu(sigma)]),
        purpose=f"the categories of {column!r}",
        columns=[column],
        sensitivity=max_rows_per_unit,
        delta=delta,
        rng=noise.kind,
    )
    cells = to_text(read())
    is_category = np.array([text is not None and text != UNREADABLE for text in cells], bool)
    codes, uniques = encode_text(cells[is_category])
    counts = np.bincount(codes, minlength=len(uniques)).astype(np.int64)
    noisy = counts + noise.gaussian(sigma, len(counts))
    released = tuple(
        sorted(str(value) for value, count in zip(uniques, noisy.tolist(), strict=True) if count >= min_count)
    )
    ledger.record(entry, hash_arrays([np.array(released, dtype=np.str_)]))
    return released


def threshold(sigma: float, delta: float, max_rows_per_unit: int = 1) -> int:
    """Return the minimum noisy count for release, which a value of a single unit reaches with probability <= delta.

    A unit of k rows has at most k values, each of count at most k: the probability that any reaches the threshold is at
    most k P(noise >= threshold - k).

    Raises:
        PrivacyError: Delta is not above 0.
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"measuring categories needs a delta above 0 and below 1, not {delta!r}")
    reach = math.ceil(sigma * 45) + 2
    weight = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    tail = np.cumsum(weight[::-1])[::-1] / (2 * weight.sum() - 1)  # P(noise >= m), shape (reach + 1,)
    fits = tail * max_rows_per_unit * (1 + 1e-9) <= delta
    return int(np.argmax(fits)) + max_rows_per_unit if fits.any() else reach + max_rows_per_unit

"""DP mechanisms on counts. Each charges the ledger, then reads the data once, then returns the noisy result.

``read`` is a function without arguments, called once after the charge. The *shape* of its result must depend on public
facts only. All results are whole numbers, added exactly.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Integers
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import discrete_gaussian_mu, discrete_gaussian_sigma
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import MAX_SCALE, MIN_SCALE, Noise

_MAX_COUNT = 2**61

Read = Callable[[], npt.NDArray[Any]]


def noisy_counts(
    read: Read,
    *,
    sigma: float,
    sensitivity: float,
    ledger: PrivacyLedger,
    purpose: str,
    columns: Iterable[str],
    noise: Noise,
) -> Integers:
    """Return counts with discrete Gaussian noise, charged as Gaussian DP (see ``discrete_gaussian_mu``).

    Args:
        read: Returns the counts, whole numbers of a public shape.
        sigma: Scale of the noise, in counts.
        sensitivity: Maximum change of the counts by one unit, in Euclidean norm: 1 for a histogram of rows, k for
            persons with up to k rows (all may fall into one cell).
        ledger: The ledger that is charged.
        purpose: Purpose of the counts, as recorded in the ledger.
        columns: The columns that are read.
        noise: Source of the noise.

    Returns:
        int64, in the shape of the counts.

    Raises:
        PrivacyError: The budget does not allow it (nothing was read), or ``read`` did not return whole numbers.
    """
    return noisy_count_vectors(
        [read], sigmas=[sigma], sensitivity=sensitivity, ledger=ledger, purpose=purpose, columns=columns, noise=noise
    )[0]


def noisy_count_vectors(
    reads: Sequence[Read],
    *,
    sigmas: Sequence[float],
    sensitivity: float,
    ledger: PrivacyLedger,
    purpose: str,
    columns: Iterable[str],
    noise: Noise,
) -> list[Integers]:
    """Release several vectors of counts for one charge; see ``noisy_counts``.

    Args:
        reads: Functions that return one vector each.
        sigmas: Scale of the noise of each.
        sensitivity: Maximum change of any one vector by one unit, in Euclidean norm.
        ledger: The ledger that is charged.
        purpose: Purpose of the counts, as recorded in the ledger.
        columns: The columns that are read.
        noise: Source of the noise.

    Raises:
        PrivacyError: The budget does not allow it (nothing was read), or a read did not return whole numbers.
    """
    if len(reads) != len(sigmas):
        raise PrivacyError(f"{len(reads)} reads need as many scales of noise, not {len(sigmas)}")
    if not (math.isfinite(sensitivity) and sensitivity > 0):
        raise PrivacyError(f"sensitivity must be a finite number above 0, not {sensitivity!r}")
    for sigma in sigmas:
        if not MIN_SCALE <= sigma <= MAX_SCALE:
            raise PrivacyError(f"the scale of noise must be from {MIN_SCALE:.0e} to {MAX_SCALE:.0e}, not {sigma!r}")
    if not reads:
        return []
    event = gaussian_event([sensitivity * discrete_gaussian_mu(float(sigma)) for sigma in sigmas])
    entry = ledger.charge(event, purpose=purpose, columns=columns, sensitivity=sensitivity, rng=noise.kind)
    out = [_add_noise(read(), float(sigma), noise) for read, sigma in zip(reads, sigmas, strict=True)]
    ledger.record(entry, hash_arrays(out))
    return out


def hash_arrays(outputs: Iterable[npt.NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays, as recorded in the ledger."""
    total = hashlib.sha256()
    for output in outputs:
        total.update(str((output.shape, str(output.dtype))).encode())
        total.update(np.ascontiguousarray(output).tobytes())
    return total.hexdigest()


def gaussian_scale(rho: float, sensitivity: float) -> float:
    """Return the scale of discrete Gaussian noise that costs ``rho``, half the squared mu of Gaussian DP."""
    return discrete_gaussian_sigma(math.sqrt(2 * rho) / sensitivity)


def gaussian_event(mus: Sequence[float]) -> Any:
    """Return the event of several mechanisms of Gaussian DP, given each one's mu; equal ones are merged."""
    from dp_accounting import dp_event

    parts = []
    for mu, count in Counter(mus).items():
        event = dp_event.GaussianDpEvent(1 / mu)
        parts.append(event if count == 1 else dp_event.SelfComposedDpEvent(event, count))
    return parts[0] if len(parts) == 1 else dp_event.ComposedDpEvent(parts)


def _add_noise(counts: npt.NDArray[Any], sigma: float, noise: Noise) -> Integers:
    exact = as_exact_integers(counts)
    return exact + noise.gaussian(sigma, exact.size).reshape(exact.shape)


def as_exact_integers(values: npt.NDArray[Any]) -> Integers:
    """Return whole numbers as int64. Floats are rejected, because their low bits could reveal private values."""
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise PrivacyError(f"a mechanism adds noise to whole numbers, not to {array.dtype}; scale and round them first")
    # Clamped, so that no sum overflows; clamping does not increase the distance of neighbours.
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(_MAX_COUNT))
    exact: Integers = np.clip(array.astype(np.int64), -_MAX_COUNT, _MAX_COUNT)
    return exact

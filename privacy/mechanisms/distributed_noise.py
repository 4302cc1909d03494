"""Distributed discrete Gaussian noise: each of several parties adds a part of the noise to its counts.

The sum of n discrete Gaussians of scale s is close to a discrete Gaussian of scale s sqrt(n): Kairouz, Liu and Steinke,
"The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation" (arXiv 2102.06387),
Proposition 14. The ledger is charged with their bound; for parts of scale 3 or more it exceeds that of a single
Gaussian by less than the rounding of a double.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tabsynth.common.arrays import Integers
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.privacy.mechanisms.noise import MAX_SCALE, Noise
from tabsynth.privacy.mechanisms.noisy_counts import Read, as_exact_integers, hash_arrays

MIN_PART_SCALE = 0.5
"""The proposition holds for parts of at least this scale."""


MAX_CELLS = 1 << 20
"""Number of cells for which the noise is sized; the excess of a sum of parts grows with it."""

ROUNDING = 4e-10
"""Tolerated relative excess over a budget; the shares of a budget leave more than this unspent."""


def summed_gaussian_rho(sensitivity: float, sigma: float, parts: int, size: int) -> float:
    """Return the zCDP of a sum whose noise is a sum of discrete Gaussians.

    Args:
        sensitivity: Maximum change of the sum by one unit, in Euclidean norm.
        sigma: Standard deviation of the noise of all parts together.
        parts: Number of parts, each of scale sigma / sqrt(parts).
        size: Number of cells.

    Raises:
        PrivacyError: The parts are too small for the bound.
    """
    scale = sigma / math.sqrt(parts)
    if not MIN_PART_SCALE <= scale <= MAX_SCALE:
        raise PrivacyError(
            f"each of {parts} parts of the noise would have scale {scale:.3g}; the bound on their sum needs at least "
            f"{MIN_PART_SCALE}: use a smaller epsilon"
        )
    excess = 10 * sum(math.exp(-2 * math.pi**2 * scale**2 * k / (k + 1)) for k in range(1, parts))
    ratio = sensitivity / sigma
    return min(ratio**2 / 2 + excess * size, (ratio + excess * math.sqrt(size)) ** 2 / 2)


def summed_gaussian_sigma(sensitivity: float, rho: float, parts: int) -> float:
    """Return the smallest standard deviation of noise in parts that costs at most ``rho`` for usual vector sizes.

    It is that of a single Gaussian, unless the parts are so small that the excess matters.
    """
    sigma = max(sensitivity / math.sqrt(2 * rho), MIN_PART_SCALE * math.sqrt(parts))
    max_rho = rho * (1 + ROUNDING)
    if summed_gaussian_rho(sensitivity, sigma, parts, MAX_CELLS) <= max_rho:
        return sigma
    low, high = sigma, 2 * sigma
    while summed_gaussian_rho(sensitivity, high, parts, MAX_CELLS) > max_rho:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        within_budget = summed_gaussian_rho(sensitivity, middle, parts, MAX_CELLS) <= max_rho
        low, high = (low, middle) if within_budget else (middle, high)
    return high


def charge_summed_counts(
    *,
    sigmas: Sequence[float],
    sizes: Sequence[int],
    parts: int,
    sensitivity: float,
    ledger: PrivacyLedger,
    purpose: str,
    columns: Iterable[str],
    rng: str,
) -> Entry:
    """Charge vectors of counts that will be read and summed over parties.

    Args:
        sigmas: Standard deviation of the noise of all parts together, for each vector.
        sizes: Cells of each vector.
        parts: Number of parts of the noise that an adversary does not know.
        sensitivity: Maximum change of any one vector by one unit, in Euclidean norm.
        ledger: The ledger to charge.
        purpose: The purpose of the counts.
        columns: The columns that are counted.
        rng: Kind of the random source.

    Raises:
        PrivacyError: The budget does not allow it, or the parts are too small for the bound.
    """
    from dp_accounting import dp_event

    rhos = [summed_gaussian_rho(sensitivity, sigma, parts, size) for sigma, size in zip(sigmas, sizes, strict=True)]
    events = []
    for rho in dict.fromkeys(rhos):
        event_of_one, count = dp_event.ZCDpEvent(rho=rho), rhos.count(rho)
        events.append(event_of_one if count == 1 else dp_event.SelfComposedDpEvent(event_of_one, count))
    event = events[0] if len(events) == 1 else dp_event.ComposedDpEvent(events)
    return ledger.charge(event, purpose=purpose, columns=columns, sensitivity=sensitivity, rng=rng)


def noisy_parts(
    reads: Sequence[Read],
    *,
    charged: Entry,
    sigmas: Sequence[float],
    sizes: Sequence[int],
    parts: int,
    ledger: PrivacyLedger,
    noise: Noise,
) -> list[Integers]:
    """Return one party's counts with its part of the noise, after ``charge_summed_counts``.

    A part alone protects less than the charge states: it must leave the party only inside a secure sum.

    Args:
        reads: Functions that return one vector of whole numbers each.
        charged: The charge.
        sigmas: As charged.
        sizes: As charged.
        parts: Number of parts in the sum that an adversary does not know; at most the charged number.
        ledger: The ledger that was charged.
        noise: Source of the noise.

    Raises:
        PrivacyError: A vector has another size than was charged, or does not hold whole numbers.
    """
    out = []
    for read, sigma, size in zip(reads, sigmas, sizes, strict=True):
        counts = as_exact_integers(read()).ravel()
        if len(counts) != size:
            raise PrivacyError("the size of a vector of counts differs from the agreed size, which must be public")
        out.append(counts + noise.gaussian(sigma / math.sqrt(parts), size))
    ledger.record(charged, hash_arrays(out))
    return out

"""Distributed discrete Gaussian noise: each of several parties adds a part of the noise to its counts.

The sum of n discrete Gaussians of scale s is close to a discrete Gaussian of scale s sqrt(n): Kairouz, Liu and Steinke,
"The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation" (arXiv 2102.06387),
theorem 9. The ledger is charged with a bound on the Gaussian DP of the sum; for parts of scale 3 or more it exceeds
that of a single discrete Gaussian by less than the rounding of a double.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tabsynth.common.arrays import Integers
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import discrete_gaussian_mu, discrete_gaussian_sigma
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_entry import Entry
from tabsynth.privacy.mechanisms.noise import MAX_SCALE, Noise
from tabsynth.privacy.mechanisms.noisy_counts import Read, as_exact_integers, gaussian_event, hash_arrays

MIN_PART_SCALE = 0.5
"""The theorem holds for parts of at least this scale."""

ROUNDING = 2e-10
"""Tolerated relative excess over a budget; the shares of a budget leave more than this unspent."""


def summed_gaussian_mu(sigma: float, parts: int) -> float:
    """Return a mu for which a count that a unit changes by one is mu-GDP if its noise is a sum of discrete Gaussians.

    By theorem 9, applied ``parts - 1`` times, the log of the probability of every value is within
    t = 10 sum_k exp(-2 pi^2 s^2 k / (k + 1)) of that of one discrete Gaussian of scale ``sigma``, with s the scale of a
    part. The same holds for the log of a cumulative probability P up to 1/2, whose normal quantile changes with log P
    at a rate of P / density <= sqrt(pi / 2); above 1/2 it holds by symmetry. Neighbouring quantiles therefore differ by
    at most the mu of one discrete Gaussian and 2 sqrt(pi / 2) t. A sum of log-concave distributions is log-concave, so
    the best tests are thresholds and this difference bounds the mu (see ``discrete_gaussian_mu``).

    Args:
        sigma: Standard deviation of the noise of all parts together.
        parts: Number of parts, each of scale sigma / sqrt(parts).

    Raises:
        PrivacyError: The parts are too small for the bound.
    """
    scale = sigma / math.sqrt(parts)
    if not MIN_PART_SCALE <= scale <= MAX_SCALE:
        raise PrivacyError(
            f"each of {parts} parts of the noise would have scale {scale:.3g}; the bound on their sum needs at least "
            f"{MIN_PART_SCALE}: use a smaller epsilon"
        )
    distance = 10 * sum(math.exp(-2 * math.pi**2 * scale**2 * k / (k + 1)) for k in range(1, parts))
    return discrete_gaussian_mu(sigma) + math.sqrt(2 * math.pi) * distance


def summed_gaussian_sigma(mu: float, parts: int) -> float:
    """Return the smallest standard deviation of noise in parts that has at most ``mu``.

    It is that of a single discrete Gaussian, unless the parts are small.
    """
    sigma = max(discrete_gaussian_sigma(mu), MIN_PART_SCALE * math.sqrt(parts) * (1 + ROUNDING))
    max_mu = mu * (1 + ROUNDING)
    if summed_gaussian_mu(sigma, parts) <= max_mu:
        return sigma
    low, high = sigma, 2 * sigma
    while summed_gaussian_mu(high, parts) > max_mu:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if summed_gaussian_mu(middle, parts) <= max_mu else (middle, high)
    return high


def charge_summed_counts(
    *,
    sigmas: Sequence[float],
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
        parts: Number of parts of the noise that an adversary does not know.
        sensitivity: Maximum change of any one vector by one unit, in Euclidean norm.
        ledger: The ledger to charge.
        purpose: The purpose of the counts.
        columns: The columns that are counted.
        rng: Kind of the random source.

    Raises:
        PrivacyError: The budget does not allow it, or the parts are too small for the bound.
    """
    event = gaussian_event([sensitivity * summed_gaussian_mu(sigma, parts) for sigma in sigmas])
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
        sizes: Agreed number of cells of each vector.
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

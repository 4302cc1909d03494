"""Discrete noise from a cryptographic source, drawn exactly: no floating-point number is ever part of an output.

The samplers are those of Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (arXiv
2004.00010v4, Algorithms 1 to 3), on whole arrays. They rest on coins that fall heads with probability exp(-x). Such a
coin compares a uniform number, of which 64 bits are drawn, with exp(-x) in floating point; where the two are too close
for floating point to decide (once in some 10^8 coins), more bits are drawn and compared with exact arithmetic.
"""

from __future__ import annotations

import decimal
import math
import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import INSECURE

FLOAT_MARGIN = 1e-9
"""Floating point decides a coin only where it is farther than this from the edge; its error is below 1e-11."""

MIN_SCALE, MAX_SCALE = 1e-6, 1e12
"""The scales that are drawn: beyond the largest, sums of counts and noise could leave 64 bits."""

N_EXTRA_BITS = 256
"""Bits drawn at a time where 64 do not decide a coin."""


class Noise:
    """A source of discrete noise; use ``Noise.secure()``.

    Attributes:
        kind: Where the randomness comes from, for the ledger.
    """

    def __init__(self, read: Callable[[int], bytes], kind: str, seed: tuple[int, ...] | None = None) -> None:
        self._read = read
        self.kind = kind
        self._seed = seed

    @classmethod
    def secure(cls, read: Callable[[int], bytes] = os.urandom) -> Noise:
        """Return the noise from the operating system's cryptographic source, or from that of the given function."""
        return cls(read, "os.urandom")

    @classmethod
    def insecure(cls, seed: int) -> Noise:
        """Return the noise that a seed decides, for tests only: outputs are stamped NOT DP."""
        return cls(np.random.default_rng(seed).bytes, f"{INSECURE} {seed} (NOT DP)", (seed,))

    def branch(self, number: int) -> Noise:
        """Return an independent source; data-dependent use of it does not affect this one."""
        if self._seed is None:
            return Noise(self._read, self.kind)
        seed = (*self._seed, number)
        return Noise(np.random.default_rng(seed).bytes, self.kind, seed)

    @property
    def is_secure(self) -> bool:
        """Whether outputs may be called differentially private."""
        return not self.kind.startswith(INSECURE)

    def words(self, n: int) -> npt.NDArray[np.uint64]:
        """Return the uniform 64-bit words, shape (n,)."""
        return np.frombuffer(self._read(8 * n), dtype="<u8")

    def integers_below(self, bound: int, n: int) -> Integers:
        """Return the uniform whole numbers from 0 to ``bound - 1``, shape (n,), by rejection."""
        out = np.empty(n, np.int64)
        left = np.arange(n)
        last = np.uint64(2**64 - 2**64 % bound - 1)
        while len(left):
            drawn = self.words(len(left))
            good = drawn <= last
            out[left[good]] = (drawn[good] % np.uint64(bound)).astype(np.int64)
            left = left[~good]
        return out

    def gaussian(self, sigma: float, n: int) -> Integers:
        """Return the discrete Gaussian noise, shape (n,): probability of z proportional to exp(-z^2 / (2 sigma^2)).

        Raises:
            PrivacyError: The scale is not above 0.
        """
        _check_scale(sigma)
        t = math.floor(sigma) + 1
        centre = sigma * sigma / t
        exact = Fraction(sigma) ** 2
        out = np.empty(n, np.int64)
        left = np.arange(n)
        while len(left):
            drawn = self._laplace(t, len(left))
            # Algorithm 3: keep y with probability exp(-(|y| - sigma^2 / t)^2 / (2 sigma^2)).
            off: Floats = (np.abs(drawn) - centre) / sigma
            kept = self.bernoulli_exp(off * off / 2, drawn, lambda y: (abs(y) - exact / t) ** 2 / (2 * exact))
            out[left[kept]] = drawn[kept]
            left = left[~kept]
        return out

    def normal(self, n: int) -> Floats:
        """Return the standard normal numbers in floating point, shape (n,): for gradients, not for what must be exact.

        Box and Muller 1958, from 53 random bits each.
        """
        half = -(-n // 2)
        uniform = ((self.words(2 * half) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(uniform[:half])), 2 * np.pi * uniform[half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]

    def laplace(self, scale: int, n: int) -> Integers:
        """Discrete Laplace noise, shape (n,): probability of z proportional to exp(-|z| / scale), for a whole scale."""
        if isinstance(scale, bool) or not isinstance(scale, (int, np.integer)):
            raise PrivacyError(f"the scale of discrete Laplace noise must be a whole number, not {scale!r}")
        _check_scale(float(scale))
        return self._laplace(int(scale), n)

    def choose_exponential(self, short: Integers, rate: float) -> int:
        """Return an index drawn with probability proportional to exp(-rate short), for whole numbers with a least of 0.

        By rejection: a try succeeds with probability of at least 1 / len(short).
        """
        exact = Fraction(rate)
        block = min(2 * len(short), 1 << 16)
        while True:
            drawn = self.integers_below(len(short), block)
            kept = self.bernoulli_exp(rate * short[drawn].astype(np.float64), short[drawn], lambda gap: exact * gap)
            if kept.any():
                return int(drawn[np.argmax(kept)])

    def _laplace(self, t: int, n: int) -> Integers:
        """Return the algorithm 2 with s = 1."""
        out = np.empty(n, np.int64)
        left = np.arange(n)
        while len(left):
            low = self.integers_below(t, len(left))
            kept = self.bernoulli_exp(low.astype(np.float64) / t, low, lambda u: Fraction(u, t))
            rows, low = left[kept], low[kept]
            value = low + t * self._geometric(len(rows))
            negative = (self.words(len(rows)) >> np.uint64(63)).astype(bool)
            once = ~(negative & (value == 0))  # zero has one sign only
            out[rows[once]] = np.where(negative, -value, value)[once]
            left = np.concatenate([left[~kept], rows[~once]])
        return out

    def _geometric(self, n: int) -> Integers:
        """Sample the number of successes of probability exp(-1) before the first failure, shape (n,)."""
        out = np.zeros(n, np.int64)
        going = np.arange(n)
        while len(going):
            going = going[self.bernoulli_exp(np.ones(len(going)), out[going], lambda _: Fraction(1))]
            out[going] += 1
        return out

    def bernoulli_exp(
        self, minus_log: Floats, of: Integers, exactly: Callable[[int], Fraction]
    ) -> npt.NDArray[np.bool_]:
        """Return the coins that fall heads with probability exp(-x), shape (n,).

        Args:
            minus_log: Each x, in floating point; exp(-x) must be right to ``FLOAT_MARGIN`` / 2.
            of: The whole number that each x is computed from.
            exactly: The exact x of such a number, called only where floating point cannot decide.
        """
        words = self.words(len(minus_log))
        uniform = words * 2.0**-64
        bound = np.exp(-minus_log)
        out = uniform < bound
        for i in np.flatnonzero(np.abs(uniform - bound) <= FLOAT_MARGIN):
            out[i] = self._decide_exactly(int(words[i]), exactly(int(of[i])))
        return out

    def _decide_exactly(self, word: int, x: Fraction) -> bool:
        """Return whether a uniform number that begins with ``word`` is below exp(-x), from as many bits as it takes."""
        bits = 64
        while True:
            error = Fraction(1, 2**bits)
            bound = Fraction(0)  # far out, exp(-x) is below the error
            if x < 2**40:
                with decimal.localcontext() as context:
                    context.prec = bits // 3 + 20
                    bound = Fraction((-decimal.Decimal(x.numerator) / decimal.Decimal(x.denominator)).exp())
            if Fraction(word + 1, 2**bits) <= bound - error:
                return True
            if Fraction(word, 2**bits) >= bound + error:
                return False
            word = (word << N_EXTRA_BITS) | int.from_bytes(self._read(N_EXTRA_BITS // 8), "little")
            bits += N_EXTRA_BITS


def _check_scale(scale: float) -> None:
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise PrivacyError(f"the scale of noise must be from {MIN_SCALE:.0e} to {MAX_SCALE:.0e}, not {scale!r}")

"""Exact samplers of discrete noise from a cryptographic source; outputs are never floating-point numbers.

The samplers are those of Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (arXiv
2004.00010v4, Algorithms 1 to 3), vectorised. They use Bernoulli variables with probability exp(-x). Each compares a
uniform number of 64 bits with exp(-x) in floating point; if the two are too close for floating point to decide (once in
some 10^8 draws), more bits are drawn and compared in exact arithmetic.
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
"""Floating point decides only comparisons with a larger difference than this; its error is below 1e-11."""

MIN_SCALE, MAX_SCALE = 1e-6, 1e12
"""Range of supported scales; with larger ones, sums of counts and noise could overflow 64 bits."""

N_EXTRA_BITS = 256
"""Bits drawn at a time if 64 do not decide a comparison."""


class Noise:
    """A source of discrete noise; use ``Noise.secure()``.

    Attributes:
        kind: Kind of the random source, as recorded in the ledger.
    """

    def __init__(self, read: Callable[[int], bytes], kind: str, seed: tuple[int, ...] | None = None) -> None:
        self._read = read
        self.kind = kind
        self._seed = seed

    @classmethod
    def secure(cls, read: Callable[[int], bytes] = os.urandom) -> Noise:
        """Return a source that uses the operating system's cryptographic generator, or another function like it."""
        return cls(read, "os.urandom")

    @classmethod
    def insecure(cls, seed: int) -> Noise:
        """Return a seeded source, for tests only: outputs are stamped NOT DP."""
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
        """Return uniform 64-bit words, shape (n,)."""
        return np.frombuffer(self._read(8 * n), dtype="<u8")

    def integers_below(self, bound: int, n: int) -> Integers:
        """Return uniform whole numbers from 0 to ``bound - 1``, shape (n,), by rejection."""
        out = np.empty(n, np.int64)
        pending = np.arange(n)
        max_word = np.uint64(2**64 - 2**64 % bound - 1)
        while len(pending):
            drawn = self.words(len(pending))
            accepted = drawn <= max_word
            out[pending[accepted]] = (drawn[accepted] % np.uint64(bound)).astype(np.int64)
            pending = pending[~accepted]
        return out

    def gaussian(self, sigma: float, n: int) -> Integers:
        """Return discrete Gaussian noise, shape (n,): probability of z proportional to exp(-z^2 / (2 sigma^2)).

        Raises:
            PrivacyError: The scale is not above 0.
        """
        _check_scale(sigma)
        t = math.floor(sigma) + 1
        centre = sigma * sigma / t
        exact = Fraction(sigma) ** 2
        out = np.empty(n, np.int64)
        pending = np.arange(n)
        while len(pending):
            drawn = self._laplace(t, len(pending))
            # Algorithm 3: keep y with probability exp(-(|y| - sigma^2 / t)^2 / (2 sigma^2)).
            deviation: Floats = (np.abs(drawn) - centre) / sigma
            accepted = self.bernoulli_exp(
                deviation * deviation / 2, drawn, lambda y: (abs(y) - exact / t) ** 2 / (2 * exact)
            )
            out[pending[accepted]] = drawn[accepted]
            pending = pending[~accepted]
        return out

    def normal(self, n: int) -> Floats:
        """Return floating-point standard normal numbers, shape (n,): for gradients only, because they are not exact.

        Box and Muller 1958, from 53 random bits each.
        """
        half = -(-n // 2)
        uniform = ((self.words(2 * half) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(uniform[:half])), 2 * np.pi * uniform[half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]

    def choose_exponential(self, gaps: Integers, rate: float) -> int:
        """Return an index drawn with probability proportional to exp(-rate gap), for whole gaps with a minimum of 0.

        By rejection, with an acceptance probability of at least 1 / len(gaps).
        """
        exact = Fraction(rate)
        block = min(2 * len(gaps), 1 << 16)
        while True:
            drawn = self.integers_below(len(gaps), block)
            accepted = self.bernoulli_exp(rate * gaps[drawn].astype(np.float64), gaps[drawn], lambda gap: exact * gap)
            if accepted.any():
                return int(drawn[np.argmax(accepted)])

    def _laplace(self, t: int, n: int) -> Integers:
        """Sample discrete Laplace noise by Algorithm 2 with s = 1."""
        out = np.empty(n, np.int64)
        pending = np.arange(n)
        while len(pending):
            low = self.integers_below(t, len(pending))
            accepted = self.bernoulli_exp(low.astype(np.float64) / t, low, lambda u: Fraction(u, t))
            rows, low = pending[accepted], low[accepted]
            value = low + t * self._geometric(len(rows))
            negative = (self.words(len(rows)) >> np.uint64(63)).astype(bool)
            single_zero = ~(negative & (value == 0))  # reject -0, so that zero is not counted twice
            out[rows[single_zero]] = np.where(negative, -value, value)[single_zero]
            pending = np.concatenate([pending[~accepted], rows[~single_zero]])
        return out

    def _geometric(self, n: int) -> Integers:
        """Sample the number of successes of probability exp(-1) before the first failure, shape (n,)."""
        out = np.zeros(n, np.int64)
        running = np.arange(n)
        while len(running):
            running = running[self.bernoulli_exp(np.ones(len(running)), out[running], lambda _: Fraction(1))]
            out[running] += 1
        return out

    def bernoulli_exp(
        self, minus_log: Floats, of: Integers, exactly: Callable[[int], Fraction]
    ) -> npt.NDArray[np.bool_]:
        """Sample Bernoulli variables with probability exp(-x), shape (n,).

        Args:
            minus_log: Each x in floating point; the error of exp(-x) must be below ``FLOAT_MARGIN`` / 2.
            of: The whole number that each x is computed from.
            exactly: Returns the exact x of such a number; called only if floating point cannot decide.
        """
        words = self.words(len(minus_log))
        uniform = words * 2.0**-64
        bound = np.exp(-minus_log)
        out = uniform < bound
        for i in np.flatnonzero(np.abs(uniform - bound) <= FLOAT_MARGIN):
            out[i] = self._decide_exactly(int(words[i]), exactly(int(of[i])))
        return out

    def _decide_exactly(self, word: int, x: Fraction) -> bool:
        """Return whether a uniform number that begins with ``word`` is below exp(-x), drawing more bits as needed."""
        bits = 64
        while True:
            error = Fraction(1, 2**bits)
            bound = Fraction(0)  # for large x, exp(-x) is below the error
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

"""A lower bound on epsilon from one release, by the number of right guesses of membership.

Under (epsilon, delta)-DP, guesses on records that were in or out by a fair coin cannot be right much more often than
e^epsilon / (1 + e^epsilon): Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training run", NeurIPS 2023,
theorem 5.2. One run sees little (about 0.2 at a true epsilon of 1), so the bound is informative only; it is never the
privacy itself.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from tabsynth.common.arrays import Floats

GUESS_SHARES = (0.01, 0.05, 0.2, 1.0)
"""Shares of the records on which a guess is made: the highest scores are guessed in, the lowest out."""

MAX_EPSILON = 50.0


def p_value_of_guesses(
    right: int, guesses: int, records: int, epsilon: float, delta: float, odds: float = 1.0
) -> float:
    """Return the chance of so many right guesses, at most, under (epsilon, delta)-DP.

    Args:
        right: Right guesses.
        guesses: Guesses made.
        records: Records that were in or out by a coin, whether guessed or not.
        epsilon: Of the claim.
        delta: Of the claim.
        odds: Prior odds of membership where only records believed in are guessed; 1 for a fair coin.
    """
    if right <= 0:
        return 1.0
    q = 1 / (1 + math.exp(-epsilon) / odds)
    plain = float(binom.sf(right - 1, guesses, q))
    sums = np.cumsum(binom.pmf(right - np.arange(1, right + 1), guesses, q))
    alpha = float((sums / np.arange(1, right + 1)).max())
    return min(1.0, plain + 2 * records * delta * alpha)


def epsilon_from_guesses(
    right: int, guesses: int, records: int, delta: float, level: float = 0.05, odds: float = 1.0
) -> float:
    """Return the largest epsilon that so many right guesses rule out at a level; 0 if they rule out none."""
    low, high = 0.0, MAX_EPSILON
    if p_value_of_guesses(right, guesses, records, 0.0, delta, odds) > level:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        if p_value_of_guesses(right, guesses, records, middle, delta, odds) <= level:
            low = middle
        else:
            high = middle
    return low


def max_epsilon_from_guesses(guesses: int, records: int, delta: float, level: float = 0.05) -> float:
    """Return the largest bound that one run can reach: every guess right."""
    return epsilon_from_guesses(guesses, guesses, records, delta, level)


def epsilon_from_scores(
    score: Floats, member: npt.NDArray[np.bool_], delta: float, level: float = 0.05
) -> tuple[float, dict[str, float]]:
    """Return the largest bound over several numbers of guesses, corrected for them, and the guesses that gave it.

    Args:
        score: Higher for records believed in, shape (n,).
        member: Whether each was in the training table, shape (n,).
        delta: Of the claim.
        level: Chance of a bound above the truth.
    """
    n, best = len(score), (0.0, {"right": 0.0, "guesses": 0.0, "records": float(len(score))})
    for right, guesses in _count_guesses(score, member):
        bound = epsilon_from_guesses(right, guesses, n, delta, level / (2 * len(GUESS_SHARES)))
        if bound > best[0]:
            best = bound, {"right": float(right), "guesses": float(guesses), "records": float(n)}
    return best


def _count_guesses(score: Floats, member: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the right guesses and guesses, by how many of the highest, or highest and lowest, scores are guessed."""
    # Ties are broken at random: members come first in an audit's targets.
    lot = np.random.default_rng(len(score)).permutation(len(score))
    order, out = lot[np.argsort(-score[lot], kind="stable")], []
    for share in GUESS_SHARES:
        each = max(1, round(share * len(score) / 2))
        top, bottom = int(member[order[:each]].sum()), int((~member[order[-each:]]).sum())
        out += [(top, each), (top + bottom, 2 * each)]
    return out


def power_against(claim: float, delta: float, records: int, mu: float, trials: int = 200) -> float:
    """Share of one-run audits that would refute ``claim`` if every record leaked like a Gaussian mechanism of ``mu``.

    Args:
        claim: The epsilon to be refuted.
        delta: Of the claim.
        records: Records that are in or out.
        mu: Distance, in deviations, of the scores of records that are in from those that are out.
        trials: Simulated audits.
    """
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(trials):
        member = rng.random(records) < 0.5
        found += any(
            p_value_of_guesses(right, guesses, records, claim, delta) <= 0.05 / (2 * len(GUESS_SHARES))
            for right, guesses in _count_guesses(rng.normal(size=records) + mu * member, member)
        )
    return found / trials

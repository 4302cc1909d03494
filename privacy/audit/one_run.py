"""Lower bound on epsilon from one release, from the number of correct membership guesses.

Under (epsilon, delta)-DP, guesses on records that are included with probability 1/2 cannot be correct much more often
than e^epsilon / (1 + e^epsilon): Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training run", NeurIPS
2023, theorem 5.2. One run has little power (a bound of about 0.2 at a true epsilon of 1), so the bound is informative
only. It is not an estimate of the privacy loss.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from tabsynth.common.arrays import Floats
from tabsynth.privacy.accounting.gaussian_dp import gdp_mu
from tabsynth.privacy.attacks.rate_tests import LEVEL
from tabsynth.privacy.attacks.run_all import AttackResults
from tabsynth.privacy.audit.verdict import Claim
from tabsynth.privacy.budget import Privacy

GUESS_SHARES = (0.01, 0.05, 0.2, 1.0)
"""Shares of the records that are guessed: those with the highest scores as included, the lowest as excluded."""

MAX_EPSILON = 50.0


@lru_cache(maxsize=4096)
def p_value_of_guesses(
    right: int, guesses: int, records: int, epsilon: float, delta: float, odds: float = 1.0
) -> float:
    """Return an upper bound on the probability of this number of correct guesses under (epsilon, delta)-DP.

    Args:
        right: Number of correct guesses.
        guesses: Number of guesses.
        records: Number of records that were randomly included, with or without a guess.
        epsilon: Epsilon of the claim.
        delta: Delta of the claim.
        odds: Prior odds of membership if only members are guessed; 1 for inclusion with probability 1/2.
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
    """Return the largest epsilon that this number of correct guesses rejects at a level; 0 if it rejects none."""
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


def max_epsilon_from_guesses(guesses: int, records: int, delta: float) -> float:
    """Return the largest bound that one run can reach, with every guess correct."""
    return epsilon_from_guesses(guesses, guesses, records, delta)


def epsilon_from_scores(
    score: Floats, member: npt.NDArray[np.bool_], delta: float, level: float = 0.05
) -> tuple[float, dict[str, float]]:
    """Return the largest bound over several numbers of guesses, corrected for multiple testing, and its guesses.

    Args:
        score: Score of each record, higher for likely members, shape (n,).
        member: Whether each was in the training table, shape (n,).
        delta: Delta of the claim.
        level: Probability that the bound exceeds the true epsilon.
    """
    n, best = len(score), (0.0, {"right": 0.0, "guesses": 0.0, "records": float(len(score))})
    for right, guesses in _count_guesses(score, member):
        bound = epsilon_from_guesses(right, guesses, n, delta, level / (2 * len(GUESS_SHARES)))
        if bound > best[0]:
            best = bound, {"right": float(right), "guesses": float(guesses), "records": float(n)}
    return best


def _count_guesses(score: Floats, member: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return numbers of correct and all guesses, for several numbers of highest, or highest and lowest, scores."""
    # Ties are broken at random, because members come first among the targets.
    shuffled = np.random.default_rng(len(score)).permutation(len(score))
    order, out = shuffled[np.argsort(-score[shuffled], kind="stable")], []
    for share in GUESS_SHARES:
        each = max(1, round(share * len(score) / 2))
        true_members, true_controls = int(member[order[:each]].sum()), int((~member[order[-each:]]).sum())
        out += [(true_members, each), (true_members + true_controls, 2 * each)]
    return out


def power_against(claim: float, delta: float, records: int, mu: float, trials: int = 200) -> float:
    """Return the share of simulated one-run audits that refute ``claim`` if each record leaks like a mu-GDP mechanism.

    Args:
        claim: The claimed epsilon.
        delta: Delta of the claim.
        records: Number of records that are randomly included.
        mu: Difference between the mean scores of included and excluded records, in standard deviations.
        trials: Number of simulated audits.
    """
    rng = np.random.default_rng(0)
    refuted = 0
    for _ in range(trials):
        member = rng.random(records) < 0.5
        refuted += any(
            p_value_of_guesses(right, guesses, records, claim, delta) <= 0.05 / (2 * len(GUESS_SHARES))
            for right, guesses in _count_guesses(rng.normal(size=records) + mu * member, member)
        )
    return refuted / trials


def measure_epsilon(results: AttackResults, privacy: Privacy) -> Claim:
    """Return the largest lower bound on epsilon of all attacks, corrected for their number, beside the claim."""
    delta, is_member = privacy.resolved_delta, results.game.is_member
    attacks = [
        (scores[chosen], is_member[chosen])
        for chosen in results.attacks.sets.values()
        for scores in [*results.attacks.scores.values(), results.attacks.exposure]
        if is_member[chosen].any() and not is_member[chosen].all()
    ]
    counts = [item.counts for item in results.tests if item.counts[0] + item.counts[2]]
    level = LEVEL / (len(attacks) + len(counts))
    bounds = [epsilon_from_scores(*attack, delta, level)[0] for attack in attacks]
    bounds += [epsilon_from_guesses(a, a + b, n + m, delta, level, n / m) for a, n, b, m in counts]
    doubled = 2 * privacy.epsilon
    power = power_against(privacy.epsilon, delta, len(is_member), gdp_mu(doubled, delta))
    return Claim(
        epsilon=privacy.epsilon,
        delta=delta,
        measured=max(bounds),
        most=max_epsilon_from_guesses(len(is_member), len(is_member), delta),
        power=power,
        method=f"Membership guesses on {len(is_member):,} records of one release (Steinke et al., 2023, theorem 5.2), "
        f"the best of {len(bounds)} attacks, at 95 % confidence; assumes that the holdout was drawn at random. The "
        "power is for twice the claimed epsilon, with independent leaks of the records. Canary audits have more power.",
    )

"""Tests on attack rates: exact where claimed, within their level under the null, and with power."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta, binom, hypergeom

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import clopper_pearson, newcombe
from tabsynth.errors import DataError
from tabsynth.privacy.attacks.rate_tests import (
    detectable_tpr,
    fisher_p_value,
    holm_correction,
    mann_whitney_p_value,
    power_of_tpr,
    tpr_at_fpr,
    tpr_in_set,
)

TRIALS = 1000
MAX_REJECTIONS = int(binom.ppf(0.999, TRIALS, 0.05))
"""Alarms that a correct test at 5 % exceeds once in a thousand suites."""


def test_clopper_pearson_covers_and_is_what_the_tables_say() -> None:
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    for n, share in ((20, 0.1), (200, 0.5), (1000, 0.01)):
        k = np.arange(n + 1)
        bounds = np.array([clopper_pearson(int(i), n) for i in k])
        covered = binom.pmf(k, n, share)[(bounds[:, 0] <= share) & (share <= bounds[:, 1])].sum()
        assert covered >= 0.95
    with pytest.raises(DataError, match="3 successes of 2"):
        clopper_pearson(3, 2)


@pytest.mark.parametrize("fpr", [0.01, 0.1])
@pytest.mark.parametrize("draw", [np.random.Generator.normal, lambda rng, size: rng.integers(0, 30, size) * 1.0])
def test_tpr_raises_no_more_false_alarms_than_it_says(fpr: float, draw: Callable[..., Floats]) -> None:
    rng = np.random.default_rng(1)
    rates = [tpr_at_fpr(draw(rng, size=600), draw(rng, size=500), fpr) for _ in range(TRIALS)]
    assert sum(rate.p <= 0.05 for rate in rates) <= MAX_REJECTIONS
    assert sum(rate.interval[0] > fpr for rate in rates) <= MAX_REJECTIONS / 2


@pytest.mark.parametrize("fpr", [0.001, 0.01])
@pytest.mark.parametrize("draw", [np.random.Generator.normal, lambda rng, size: rng.integers(0, 60, size) * 1.0])
@pytest.mark.slow
def test_rates_among_the_records_pointed_at_raise_no_more_false_alarms_either(
    fpr: float, draw: Callable[..., Floats]
) -> None:
    rng, rates = np.random.default_rng(7), []
    for _ in range(TRIALS):
        score, member = draw(rng, size=2000), np.arange(2000) < 1000
        pointed = np.argsort(-score + rng.normal(size=2000))[:200]  # by another score, which the first one knows of
        yes, no = (score[pointed][member[pointed] == side] for side in (True, False))
        rates.append(tpr_in_set(yes, no, 1000 - len(no), fpr))
    assert sum(rate.p <= 0.05 for rate in rates) <= MAX_REJECTIONS
    assert sum(rate.interval[0] > rate.chance for rate in rates) <= MAX_REJECTIONS
    assert np.mean([rate.chance for rate in rates]) == pytest.approx(10 * fpr, rel=0.1)


def test_those_not_pointed_at_are_not_mistaken() -> None:
    yes, no = np.repeat([2.0, 1.0], [30, 20]), np.repeat([2.0, 0.0], [4, 46])
    rate = tpr_in_set(yes, no, 950, 0.01)  # 10 of 1,000 may be mistaken, 4 are before the first 30 members
    assert (rate.value, rate.chance) == (1.0, 0.2)
    assert rate.p < 1e-6
    assert tpr_at_fpr(yes, no, 0.01).value == 0.0  # 1 % of the set's own controls is less than those four
    assert tpr_in_set(yes, no, 9950, 0.1).chance == 1.0


def test_tpr_interval_covers_the_truth_of_a_real_attack() -> None:
    rng = np.random.default_rng(2)
    truth = beta.sf(beta.isf(0.1, 1, 1), 2, 1)  # members' scores are Beta(2, 1), controls' uniform
    rates = [tpr_at_fpr(rng.beta(2, 1, 300), rng.random(200), 0.1) for _ in range(TRIALS)]
    missed = sum(not rate.interval[0] <= truth <= rate.interval[1] for rate in rates)
    assert missed <= MAX_REJECTIONS
    assert sum(rate.p <= 0.05 for rate in rates) > 0.5 * TRIALS
    few = tpr_at_fpr(np.ones(50), np.zeros(50), 0.01)
    assert few.interval[0] == 0.0  # no threshold of 50 controls surely has a false-positive rate of 1 %


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_differences_raise_no_more_false_alarms_than_they_say(share: float) -> None:
    rng = np.random.default_rng(3)
    pairs = rng.binomial(300, share, (TRIALS, 2))
    assert sum(fisher_p_value(int(a), 300, int(b), 300) <= 0.05 for a, b in pairs) <= MAX_REJECTIONS
    assert sum(newcombe(int(a), 300, int(b), 300)[0] > 0 for a, b in pairs) <= MAX_REJECTIONS
    assert fisher_p_value(30, 300, 6, 300) < 1e-4


def test_ranks_raise_no_more_false_alarms_than_they_say() -> None:
    rng = np.random.default_rng(4)
    p = [mann_whitney_p_value(rng.integers(0, 4, 80) * 1.0, rng.integers(0, 4, 60) * 1.0) for _ in range(TRIALS)]
    assert sum(value <= 0.05 for value in p) <= MAX_REJECTIONS
    assert mann_whitney_p_value(np.ones(5), np.ones(5)) == 1.0
    assert mann_whitney_p_value(rng.normal(1, 1, 50), rng.normal(0, 1, 50)) < 0.01


def test_holm_keeps_the_family() -> None:
    rng = np.random.default_rng(5)
    alarms = sum((holm_correction(list(rng.random(40))) <= 0.05).any() for _ in range(TRIALS))
    assert alarms <= MAX_REJECTIONS
    assert holm_correction([0.001, 0.2])[0] == pytest.approx(0.002)
    assert (holm_correction([0.5, 0.01, 0.02]) >= np.array([0.5, 0.01, 0.02])).all()


@pytest.mark.parametrize(("members", "controls"), [(20, 20), (800, 300), (150, 900)])
@pytest.mark.parametrize("level", [1e-12, 1e-4, 0.01, 0.2, 1.0])
def test_power_is_that_of_the_least_count_with_a_small_p_value(members: int, controls: int, level: float) -> None:
    """By definition: the p-value of every count of members above the threshold, and the first that is small enough."""
    for fpr in (0.01, 0.1):
        allowed = int(fpr * controls + 1e-9)
        counts = np.arange(1, members + 1)
        p = hypergeom.cdf(allowed, members + controls, controls, counts + allowed)
        rate = beta.ppf((np.arange(400) + 0.5) / 400, allowed + 1, controls - allowed)
        enough = counts[p <= level]
        slow = binom.sf(enough[0] - 1, members, np.minimum(3 * rate, 1)).mean() if len(enough) else 0.0
        assert power_of_tpr(members, controls, fpr, 3.0, level) == pytest.approx(slow, abs=1e-12)


def test_power_is_what_simulation_finds() -> None:
    rng = np.random.default_rng(6)
    found = [
        tpr_at_fpr(np.where(rng.random(800) < 0.04, 9.0, rng.random(800)), rng.random(800), 0.05).p <= 0.01
        for _ in range(TRIALS)
    ]
    # 4 % of members are detected for sure: at a false-positive rate of 5 % the true one is .04 + .96 x .05 = .088
    assert power_of_tpr(800, 800, 0.05, 0.088 / 0.05, 0.01) == pytest.approx(np.mean(found), abs=0.06)
    least = detectable_tpr(800, 800, 0.05, 0.01)
    assert least is not None
    assert power_of_tpr(800, 800, 0.05, least / 0.05, 0.01) == pytest.approx(0.8, abs=0.01)
    assert detectable_tpr(20, 20, 0.01, 1e-12) is None

"""A1: each kind of noise is what its formula says. Every chi-square test below has a false-alarm rate of 1e-4."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, chi2_contingency

from tabsynth.errors import PrivacyError
from tabsynth.privacy.mechanisms.noise import Noise

DRAWS = 100_000
LEVEL = 1e-4


def fit(draws: Any, weight: Any) -> float:
    """p-value of draws of whole numbers against unnormalised probabilities; rare values are pooled."""
    reach = int(np.abs(draws).max()) + 50
    support = np.arange(-reach, reach + 1)
    share = weight(support) / weight(support).sum()
    expected = share * len(draws)
    seen = np.bincount(draws + reach, minlength=len(support))
    often = expected >= 20
    seen = np.append(seen[often], seen[~often].sum())
    expected = np.append(expected[often], max(expected[~often].sum(), 1e-9))
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(seen) - 1))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 37.7])
def test_gaussian(sigma: float) -> None:
    draws = Noise.insecure(1).gaussian(sigma, DRAWS)
    assert fit(draws, lambda z: np.exp(-(z**2) / (2 * sigma**2))) > LEVEL
    if sigma > 1:
        assert draws.std() == pytest.approx(sigma, rel=4 * math.sqrt(0.5 / DRAWS))


@pytest.mark.parametrize("scale", [1, 2, 15])
def test_laplace(scale: int) -> None:
    draws = Noise.insecure(2)._laplace(scale, DRAWS)
    assert fit(draws, lambda z: np.exp(-np.abs(z) / scale)) > LEVEL


def test_a_wrong_scale_is_found() -> None:
    draws = Noise.insecure(1).gaussian(2.5, DRAWS)
    assert fit(draws, lambda z: np.exp(-(z**2) / (2 * 2.6**2))) < LEVEL


@pytest.mark.parametrize("sigma", [1.0, 6.3])
def test_gaussian_is_as_opendps(sigma: float) -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    n = 20_000
    theirs = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T=dp.i64)), dp.l2_distance(T=float), scale=sigma)
    both = np.concatenate([np.array(theirs([0] * n)), Noise.secure().gaussian(sigma, n)])
    edge = int(3 * sigma)
    cells = np.clip(both, -edge, edge) + edge
    table = np.stack([np.bincount(part, minlength=2 * edge + 1) for part in (cells[:n], cells[n:])])
    assert chi2_contingency(table[:, table.sum(0) > 0]).pvalue > 1e-6  # fresh randomness at every run


def test_a_coin_at_the_edge_of_floating_point_is_decided_exactly() -> None:
    # The 64 bits that are nearest to exp(-1), whose side floating point cannot resolve.
    from decimal import Decimal, getcontext

    getcontext().prec = 60
    edge = int(Decimal(-1).exp() * 2**64)
    for word, wanted in ((edge - 1, True), (edge + 1, False)):
        bits = word.to_bytes(8, "little")
        noise = Noise(lambda n, bits=bits: (bits + bytes(n))[:n], "fixed")
        assert noise.bernoulli_exp(np.ones(1), np.ones(1, np.int64), lambda _: Fraction(1)).tolist() == [wanted]
    # The word that holds the edge is decided by the bits that follow: zeros are below it, ones above.
    bits = edge.to_bytes(8, "little")
    for fill, wanted in ((b"\x00", True), (b"\xff", False)):
        reads = iter([bits, fill * 32])
        noise = Noise(lambda n, reads=reads: next(reads), "fixed")
        assert noise.bernoulli_exp(np.ones(1), np.ones(1, np.int64), lambda _: Fraction(1)).tolist() == [wanted]


def test_a_coin_far_out_falls_tails() -> None:
    noise = Noise(lambda n: b"\x01" + bytes(n - 1), "fixed")
    assert not noise.bernoulli_exp(np.array([1e13]), np.array([1]), lambda _: Fraction(10**13)).any()


def test_below_is_uniform() -> None:
    counts = np.bincount(Noise.insecure(3).integers_below(7, DRAWS), minlength=7)
    assert chi2.sf(((counts - DRAWS / 7) ** 2 / (DRAWS / 7)).sum(), 6) > LEVEL


def test_weighted() -> None:
    short, rate = np.array([0, 1, 3, 40]), 0.7
    drawn = np.bincount([Noise.insecure(i).choose_exponential(short, rate) for i in range(4000)], minlength=4)
    share = np.exp(-rate * short)
    for seen, wanted in zip(drawn, share / share.sum(), strict=True):
        assert binomtest(int(seen), 4000, float(wanted)).pvalue > LEVEL


def test_normal() -> None:
    draws = Noise.insecure(4).normal(DRAWS + 1)
    assert len(draws) == DRAWS + 1
    cells = np.floor(np.clip(draws, -3.999, 3.999) * 2).astype(int)
    from scipy.stats import norm

    edges = np.arange(-8, 9) / 2
    share = np.diff(norm.cdf(edges))
    share[0], share[-1] = norm.cdf(-3.5), norm.cdf(-3.5)
    expected = share * len(draws)
    seen = np.bincount(cells + 8, minlength=16)
    assert chi2.sf(((seen - expected) ** 2 / expected).sum(), 15) > LEVEL
    assert abs(np.corrcoef(draws[: DRAWS // 2], draws[DRAWS // 2 : 2 * (DRAWS // 2)])[0, 1]) < 4 / math.sqrt(DRAWS / 2)


def test_epsilon_of_one_draw_by_clopper_and_pearson() -> None:
    # P(M(D') in S) and P(M(D) in S) for a count of 1 against 0, S = {1, 2, ...}: the measured epsilon stays under the
    # claim of the discrete Gaussian at the delta of the tail, and reaches half of it: the test has power.
    sigma, n = 2.0, DRAWS
    zero, one = Noise.insecure(5).gaussian(sigma, n), Noise.insecure(6).gaussian(sigma, n) + 1
    claim = math.log(np.exp(-(np.arange(0, 99) ** 2) / 8).sum() / np.exp(-(np.arange(1, 99) ** 2) / 8).sum())
    low = binomtest(int((one >= 1).sum()), n).proportion_ci(0.999).low
    high = binomtest(int((zero >= 1).sum()), n).proportion_ci(0.999).high
    measured = math.log(low / high)
    assert 0.5 * claim < measured <= claim


def test_secure_noise_never_repeats_and_a_seed_does() -> None:
    assert (Noise.secure().gaussian(50.0, 40) != Noise.secure().gaussian(50.0, 40)).any()
    noise = Noise.secure()
    assert (noise.gaussian(50.0, 40) != noise.gaussian(50.0, 40)).any()
    assert (Noise.insecure(1).gaussian(50.0, 40) == Noise.insecure(1).gaussian(50.0, 40)).all()
    assert (Noise.insecure(1).branch(1).words(4) != Noise.insecure(1).branch(2).words(4)).any()
    assert Noise.secure().is_secure
    assert not Noise.insecure(1).branch(3).is_secure


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf, 1e-9, 1e15])
def test_a_scale_without_sense_is_refused(scale: float) -> None:
    with pytest.raises(PrivacyError, match="scale"):
        Noise.secure().gaussian(scale, 3)


def test_many_cells_are_drawn_in_few_reads_of_the_source() -> None:
    """All cells at once, and then those that were rejected: cell by cell, a million reads would take a minute."""
    sizes, rng = list[int](), np.random.default_rng(0)

    def read(n: int) -> bytes:
        sizes.append(n)
        return rng.bytes(n)

    Noise(read, "counted").gaussian(20.0, 300_000)
    assert len(sizes) < 2000

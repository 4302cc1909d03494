"""Whether pairs are counted: a noisy measure of dependence decides, so that noise is bought only where it pays."""

from __future__ import annotations

import numpy as np
import pytest

from tabsynth.common.arrays import Integers
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.bins.public_bins import Grid, numeric_grid
from tabsynth.synthesizers.marginal.budget_allocation import dependence_share, independent
from tabsynth.synthesizers.marginal.count_source import ExactCounts, NoisyCounts, noise_sigma
from tabsynth.synthesizers.marginal.one_way_marginals import OneWayMarginals, measure_one_ways
from tabsynth.synthesizers.marginal.sign_products.dependence import measure_dependence

COLUMNS, ROWS = 24, 40_000


def table(strength: float, seed: int = 0) -> tuple[dict[str, Grid], dict[str, Integers]]:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(ROWS)
    cells = {}
    for i in range(COLUMNS):
        line = strength * common + np.sqrt(1 - strength**2) * rng.standard_normal(ROWS)
        cells[f"c{i}"] = np.clip(np.floor(line * 2 + 5), 0, 9).astype(np.int64)
    return {name: numeric_grid(0, 9, 0, False) for name in cells}, cells


def measured(strength: float, epsilon: float, seed: int) -> tuple[OneWayMarginals, PrivacyLedger]:
    grids, cells = table(strength)
    ledger = PrivacyLedger(epsilon, 1e-6)
    source = NoisyCounts(gaussian_rho(epsilon, 1e-6), ledger, Noise.insecure(seed))
    return measure_one_ways(grids, cells.__getitem__, source, 0.2, may_spend_all=True, target_pairs=0), ledger


def test_the_measure_is_the_root_mean_square_product() -> None:
    grids, cells = table(0.6)
    counts = {name: np.bincount(own, minlength=10).astype(float) for name, own in cells.items()}
    found = measure_dependence(grids, counts, cells.__getitem__, float(ROWS), ExactCounts(rho=1e12), 0.1)
    # Halves of normal columns with a correlation of r have a mean product of 2 / pi * arcsin(r).
    assert found == pytest.approx(2 / np.pi * np.arcsin(0.36), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_counted_where_columns_depend_on_each_other(seed: int) -> None:
    weak, ledger = measured(0.0, 0.1, seed)
    strong, _ = measured(0.7, 0.1, seed)
    assert weak.independent
    assert weak.spent > 0.7
    assert not strong.independent
    assert strong.spent < 0.25
    assert any("products" in entry.purpose for entry in ledger.entries)
    assert ledger.epsilon() <= 0.1


def test_the_measure_is_paid_only_where_it_can_change_the_choice() -> None:
    rho = gaussian_rho(1.0, 1e-6)
    assert dependence_share(100.0, rho, 105) == 0  # too few rows whatever they say
    assert dependence_share(1e6, rho, 105) == 0  # enough for any table
    assert 0 < dependence_share(3000.0, rho, 105) <= 0.03
    assert dependence_share(3000.0, rho, 0) == 0
    assert independent(3000.0, rho, 105, 0.02)
    assert not independent(3000.0, rho, 105, 0.5)


@pytest.mark.parametrize(("rows", "columns"), [(3000.0, 15), (24_000.0, 17), (20_000.0, 24)])
def test_the_measure_is_precise_where_pairs_just_pay(rows: float, columns: int) -> None:
    rho, pairs = gaussian_rho(0.1 if rows > 10_000 else 1.0, 1e-6), columns * (columns - 1) // 2
    share = dependence_share(rows, rho, pairs)
    assert 0 < share < 0.015
    least = next(value for value in np.linspace(0, 0.5, 1001) if not independent(rows, rho, pairs, value))
    sigma = noise_sigma(rho, share / pairs, 1) / rows
    assert sigma**2 * np.sqrt(2 / pairs) == pytest.approx(0.2 * least**2, rel=0.05)


def test_half_the_dependence_needs_four_times_the_signal() -> None:
    rho = gaussian_rho(0.1, 1e-6)
    rows = next(n for n in range(1000, 60_000, 50) if not independent(n, rho, 105, 0.3))
    assert independent(3.5 * rows, rho, 105, 0.15)
    assert not independent(4.5 * rows, rho, 105, 0.15)

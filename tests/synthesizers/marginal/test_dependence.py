"""Whether pairs are counted: a noisy measure of dependence decides, so that noise is bought only where it pays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.arrays import Integers
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import Grid, numeric_grid
from tabsynth.synthesizers.marginal.budget_allocation import dependence_share, independent, prefers_products
from tabsynth.synthesizers.marginal.count_source import ExactCounts, NoisyCounts, noise_sigma
from tabsynth.synthesizers.marginal.one_way_marginals import OneWayMarginals, measure_one_ways
from tabsynth.synthesizers.marginal.sign_products.dependence import measure_dependence
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

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


@pytest.mark.parametrize("seed", range(2))
def test_continuous_columns_keep_their_correlations_where_noise_is_high(seed: int) -> None:
    """Of 8,000 rows at epsilon 0.1, counts of pairs keep half of the correlations and err by 0.2 in the mean."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 8000, 1))
    strong, weak = np.where(np.arange(10) % 3, 0.6, 0.9), 0.3 * (-1.0) ** np.arange(10)
    even = np.arange(10) % 2 == 0
    lines = np.where(even, strong, weak) * first + np.where(even, weak, strong) * second
    lines = (lines + 0.4 * rng.standard_normal((8000, 10))).clip(-5, 5).round(2)
    frame = pd.DataFrame(lines, columns=[f"x{i}" for i in range(10)])
    column = {"kind": "numeric", "low": -5, "high": 5, "decimals": 2}
    schema = Schema.from_dict({"columns": dict.fromkeys(frame, column)})
    privacy = Privacy(0.1, 1e-6, insecure_seed=seed)
    drawn = MarginalSynthesizer().fit(frame, schema=schema, privacy=privacy, progress=False).sample(8000, seed=0)
    error = drawn.corr("spearman") - frame.corr("spearman")
    assert np.abs(error.to_numpy()[np.triu_indices(10, 1)]).mean() < 0.1


def test_products_describe_pairs_of_continuous_columns_at_low_signals_only() -> None:
    continuous = {f"x{i}": numeric_grid(-5, 5, 2, False) for i in range(10)}
    whole = {name: numeric_grid(-500, 500, 0, False) for name in continuous}
    low, high = gaussian_rho(0.1, 1e-6), gaussian_rho(1.0, 1e-6)
    assert prefers_products(continuous, 8000, low, 45)
    assert not prefers_products(whole, 8000, low, 45)
    assert not prefers_products(continuous, 8000, high, 45)
    assert not prefers_products(continuous, 800, low, 45)  # too few rows for all products

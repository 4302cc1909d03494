"""Declared ranges much wider than the data: finer cells where the rows are, and densities of short tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.bins.density_shapes import fit_shape
from tabsynth.synthesizers.marginal.bins.line_smoothing import smooth_counts
from tabsynth.synthesizers.marginal.bins.public_bins import numeric_grid
from tabsynth.synthesizers.marginal.bins.subdivision import MAX_CELLS, expand, subdivide
from tabsynth.synthesizers.marginal.count_source import NoisyCounts
from tabsynth.synthesizers.marginal.private_rows import CellRows, public_grids
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import FitOptions


@given(st.integers(0, 2), st.booleans(), st.integers(0, 10_000), st.booleans())
def test_finer_cells_divide_the_former_ones(decimals: int, rounded: bool, start: int, nullable: bool) -> None:
    grid = numeric_grid(-1000.0, 100_000.0, decimals if rounded else None, nullable)
    first = start % (len(grid.low) - 6)
    found = subdivide(grid, np.append(grid.high > grid.low, [0.0] * nullable), (first, first + 6))
    if found is None:
        assert (grid.low == grid.high)[max(first - 1, 0) : first + 7].all()
        return
    finer, former = found
    assert finer.size == len(former) == len(finer.low) + nullable
    assert (finer.low[1:] >= finer.high[:-1]).all()
    counts = np.arange(float(grid.size))
    assert np.allclose(np.bincount(former, weights=expand(counts, former)), counts)
    column = Schema.from_dict(
        {"columns": {"x": {"kind": "numeric", "low": -1000, "high": 100_000, "nullable": nullable}}}
    )["x"]
    numbers = np.random.default_rng(start).uniform(-1000, 100_000, 200)
    numbers[:100] = np.random.default_rng(start).uniform(grid.low[first], grid.high[first + 5], 100)
    values = pd.Series(np.round(numbers, decimals) if rounded else numbers)
    if nullable:
        values[0] = np.nan
    assert (former[finer.encode(column, values)] == grid.encode(column, values)).all()


def test_cells_are_divided_only_where_rows_have_few() -> None:
    grid = numeric_grid(0.0, 1000.0, None, False)
    counts = np.ones(grid.size)
    assert subdivide(grid, counts, (0, MAX_CELLS + 40)) is None
    single = numeric_grid(0, 100, 0, False)
    assert subdivide(single, np.ones(single.size), (5, 8)) is None  # a cell of one number cannot be divided
    amounts = numeric_grid(0, 100_000, 0, False)
    at = int(np.flatnonzero(amounts.low == 50_000)[0])
    counts = np.where(amounts.low == amounts.high, 10.0, 0.1)
    assert subdivide(amounts, counts, (at, at + 4)) is None  # rows at single numbers keep their first counts
    assert subdivide(amounts, np.ones(amounts.size), (at, at + 4)) is not None


@pytest.mark.parametrize("kind", ["normal", "gamma"])
def test_a_shape_has_the_spread_of_its_counts(kind: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(50, 10, 20_000) if kind == "normal" else rng.gamma(2, 10, 20_000)
    ends = np.array([0.0, 10, 20, 30, 40, 50, 60, 70, 90, 120, 200, 400, 800, 1000])
    counts = np.histogram(rows, ends)[0].astype(float)
    fine = np.linspace(0, 1000, 4001)
    shares = fit_shape(ends, counts, 50.0, counts.sum()).shares(fine)
    middle = (fine[1:] + fine[:-1]) / 2
    spread = np.sqrt(shares @ middle**2 - (shares @ middle) ** 2)
    assert spread == pytest.approx(rows.std(), rel=0.05)


def test_smoothing_removes_noise_and_keeps_what_exceeds_it() -> None:
    ends = np.linspace(0.0, 400, 21)
    shares = np.diff([0, *np.histogram(np.random.default_rng(0).normal(100, 20, 100_000), ends)[0].cumsum() / 100_000])
    before, after = [], []
    for seed in range(20):
        noisy = 300 * shares + np.random.default_rng(seed).normal(0, 13, 20)
        found = smooth_counts(noisy, 13.0, ends, 300.0)
        assert found is not None
        before.append(np.abs(noisy - 300 * shares).sum())
        after.append(np.abs(found[0] - 300 * shares).sum())
    assert np.mean(after) < 0.4 * np.mean(before)
    spikes = np.array([0.0, 4000, 0, 0, 5000, 0, 0, 3000, 0, 0])
    found = smooth_counts(spikes, 20.0, np.linspace(0, 100, 11), spikes.sum())
    assert found is None or np.abs(found[0] - spikes).max() < 100


def test_spread_and_correlation_survive_a_range_a_hundred_times_wider() -> None:
    ratios, correlations = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        both = rng.multivariate_normal([523, 523], [[4, 3.4], [3.4, 4]], 5000)
        frame = pd.DataFrame({"a": both[:, 0], "b": both[:, 1], "c": rng.normal(523, 2, 5000)})
        column = {"kind": "numeric", "low": 0, "high": 1000}
        schema = Schema.from_dict({"columns": dict.fromkeys(frame, column)})
        privacy = Privacy(1.0, 1e-6, insecure_seed=seed)
        drawn = MarginalSynthesizer(components=96).fit(frame, schema=schema, privacy=privacy, progress=False)
        rows = drawn.sample(3000, seed=seed)
        ratios.append((rows.std() / frame.std()).to_numpy())
        correlations.append(rows[["a", "b"]].corr().iloc[0, 1])
    # Without finer cells the spread is doubled and the correlation .13.
    assert np.median(ratios) < 1.25
    assert np.mean(correlations) > 0.5


def test_rows_are_counted_on_the_public_cells_again_in_the_next_fit() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(523, 2, 4000)})
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric", "low": 0, "high": 1000}}})
    rules = RuleSet.of(schema)
    rows = CellRows(lambda: frame, rules, public_grids(schema))
    before = rows.cells("x")
    for _ in range(2):
        model = MarginalSynthesizer()
        model.schema_, model.seed_ = schema, 0
        source = NoisyCounts(0.02, PrivacyLedger(1.0, 1e-6), Noise.insecure(1))
        model._fit_rows(rows, source, None, FitOptions(seed=0))
        assert rows.grids["x"].size > rows.public_grids["x"].size
    rows.restore_grids()
    assert (rows.cells("x") == before).all()

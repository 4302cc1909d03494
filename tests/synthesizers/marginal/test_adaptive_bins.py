"""Bins of the second count: edges, tails, and declared ranges wider than the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.bins.adaptive_bins import cell_widths, kept_stretch, second_bins, tail_mask
from tabsynth.synthesizers.marginal.bins.public_bins import numeric_grid
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.booleans())
def test_bins_are_ascending_without_gaps_and_tails_are_apart(
    before: int, inside: int, after: int, nullable: bool
) -> None:
    line = before + inside + after
    grid = numeric_grid(0, line - 1, 0, nullable) if line > 1 else numeric_grid(0, 1, 0, nullable)
    stretch = (before, before + inside) if line > 1 else (0, 2)
    bins = second_bins(grid, np.ones(grid.size), stretch, 6, 0.5)
    assert bins[0] == 0
    assert set(np.diff(bins)) <= {0, 1}
    assert len(set(bins[: stretch[0]]) & set(bins[stretch[0] : stretch[1]])) == 0
    assert not nullable or (bins[:-1] < bins[-1]).all()


def test_tails_of_noise_are_cut_and_rows_are_kept() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros(200)
    truth[60:120] = 400
    for _ in range(20):
        first, last = kept_stretch(truth + rng.normal(0, 30, 200), 30)
        assert 45 <= first <= 60
        assert 120 <= last <= 140
    assert kept_stretch(np.zeros(9), 1.0) == (0, 9)  # noise alone: nothing says where the rows are


def test_rows_far_from_both_ends_are_found_among_many_noisy_cells() -> None:
    noise = np.random.default_rng(1).normal(0, 25, 100)
    counts = noise.copy()
    counts[40:43] += [80, 130, 80]
    assert kept_stretch(counts, 25.0) == (0, 100)  # their sum is less than the noise of all cells before them
    first, last = kept_stretch(counts, 25.0, hidden=True)
    assert 37 <= first <= 40
    assert 43 <= last <= 46
    assert kept_stretch(np.full(100, 5.0), 25.0, hidden=True) == (0, 100)
    assert kept_stretch(np.zeros(9), 1.0, hidden=True) == (0, 9)


def test_missing_values_are_no_tail() -> None:
    bins = np.array([0, 0, 1, 1, 2, 3])
    assert tail_mask(bins, 5, (1, 2)).tolist() == [True, True, False, False, True, False]


def test_few_rows_of_a_wide_outer_bin_are_expected_near_the_others() -> None:
    grid = numeric_grid(0, 1_000_000, 0, False)
    middle = (grid.low + grid.high) / 2
    counts = np.where(middle < 10_000, 50.0, 0.0)
    bins = (middle > 20_000).astype(np.int64)
    expected = np.average(middle, weights=cell_widths(grid, counts, bins) * (bins == 1))
    assert 20_000 < expected < 60_000


@pytest.mark.parametrize("seed", range(3))
def test_a_range_wider_than_the_data_leaves_spread_and_correlation(seed: int) -> None:
    """Bounds of a hundred standard deviations: without the cut tails one came out twice as wide, correlated by .4."""
    rng = np.random.default_rng(0)
    one = rng.normal(500, 30, 18_000)
    frame = pd.DataFrame({"one": one, "two": one + rng.normal(0, 20, 18_000)})
    column = {"kind": "numeric", "low": 0, "high": 3000, "decimals": 1}
    schema = Schema.from_dict({"columns": dict.fromkeys(frame, column)})
    model = MarginalSynthesizer(components=64)
    drawn = model.fit(frame, schema=schema, privacy=Privacy(1.0, 1e-6, insecure_seed=seed)).sample(18_000, seed=0)
    for name in frame:
        assert drawn[name].std() == pytest.approx(frame[name].std(), rel=0.15)
    assert drawn.corr().iloc[0, 1] > 0.7  # .83 in the data


def test_a_balanced_flag_of_a_small_table_never_collapses() -> None:
    rng = np.random.default_rng(0)
    values = {f"flag{i}": rng.permutation(np.repeat([False, True], 150)) for i in range(4)}
    schema = Schema.from_dict({"columns": {name: {"kind": "boolean"} for name in values}})
    for seed in range(25):  # four columns each
        private = Privacy(0.1, 1e-6, insecure_seed=seed)
        model = MarginalSynthesizer().fit(pd.DataFrame(values), schema=schema, privacy=private, progress=False)
        assert 0.099 < model.ledger_.epsilon() <= 0.1
        drawn = model.sample(300, seed=0)
        assert all(0.05 < drawn[name].mean() < 0.95 for name in drawn)

"""Tables whose pairs are counted although the noise is high: tokens, groups and shares of the budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.budget_allocation import (
    MIN_BINS,
    level_shares,
    mixture_config,
    n_bins,
    one_way_share,
)
from tabsynth.synthesizers.marginal.count_source import MeasuredRows, NoisyCounts
from tabsynth.synthesizers.marginal.pair_selection import measure_levels
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer


@pytest.mark.parametrize("seed", range(2))
def test_single_columns_stay_accurate_where_pairs_are_noisy(seed: int) -> None:
    """Tokens as coarse as the groups of pairs, and a quarter of the budget for columns, err by 0.07 and more."""
    rng = np.random.default_rng(0)
    lines = rng.standard_normal((12_000, 2)) @ rng.standard_normal((2, 12)) + 0.7 * rng.standard_normal((12_000, 12))
    whole = np.exp(0.8 * lines + 2).round().clip(max=1000).astype(int)
    frame = pd.DataFrame(whole, columns=[f"x{i}" for i in range(12)])
    column = {"kind": "numeric", "low": 0, "high": 1000, "decimals": 0}
    schema = Schema.from_dict({"columns": dict.fromkeys(frame, column)})
    model = MarginalSynthesizer().fit(frame, schema=schema, privacy=Privacy(0.3, 1e-6, insecure_seed=seed))
    drawn = model.sample(12_000, seed=0)
    assert any("pairs" in entry.purpose for entry in model.ledger_.entries)
    distances = []
    for name in frame:
        edges = np.unique(frame[name].quantile(np.linspace(0, 1, 21)[1:-1]))
        one, two = (np.bincount(np.searchsorted(edges, t[name], side="right"), minlength=21) for t in (frame, drawn))
        distances.append(np.abs(one - two).sum() / 24_000)
    assert np.mean(distances) < 0.055
    error = drawn.corr("spearman") - frame.corr("spearman")
    assert np.abs(error.to_numpy()[np.triu_indices(12, 1)]).mean() < 0.075


def test_the_finest_counts_of_noisy_pairs_are_of_groups() -> None:
    rng = np.random.default_rng(0)
    rows, columns, rho = 12_000, 4, gaussian_rho(0.3, 1e-6)
    tokens = rng.integers(0, MIN_BINS, (rows, columns)).astype(np.int32)
    marginals = [np.full(MIN_BINS, 1 / MIN_BINS)] * columns
    source = NoisyCounts(rho, PrivacyLedger(0.3, 1e-6), Noise.insecure(0))
    measured = MeasuredRows(lambda: tokens, float(rows), source, [f"c{i}" for i in range(columns)])
    found = measure_levels(marginals, [MIN_BINS] * columns, None, measured, 1.0, mixture_config(rows, rho, 64), 0)
    assert n_bins(rows, rho) < MIN_BINS
    assert [max(level.plan.sizes) for level in found] == [3, 8, n_bins(rows, rho)]
    assert 0.2999 < source.ledger.epsilon() <= 0.3


@pytest.mark.parametrize(("epsilon", "rows", "coarse"), [(0.3, 12_000, 0.35), (1.0, 12_000, 0.06), (0.3, 1000, 0.06)])
def test_coarse_counts_get_more_where_noise_is_high(epsilon: float, rows: int, coarse: float) -> None:
    """Not in tables of a thousand rows, whose pairs are counted only if there are few columns."""
    shares = level_shares(["coarse pairs", "medium pairs", "triples"], 1.0, rows, gaussian_rho(epsilon, 1e-6))
    assert shares["coarse pairs"] == pytest.approx(coarse)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_many_triples_leave_budget_for_the_finest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triples that chance selects: eight of them at their full share would exceed what the columns leave."""
    monkeypatch.setattr("tabsynth.synthesizers.marginal.sign_products.triples.MIN_SIGMAS", 0.0)
    monkeypatch.setattr("tabsynth.synthesizers.marginal.sign_products.triples.MIN_DEVIATION", 0.0)
    monkeypatch.setattr("tabsynth.synthesizers.marginal.sign_products.triples.MAX_PRODUCT_NOISE", 1e9)
    rng = np.random.default_rng(0)
    same = rng.integers(0, 2, (8000, 1)) ^ (rng.random((8000, 6)) < 0.2)
    frame = pd.DataFrame(same.astype(bool), columns=[*"abcdef"])
    schema = Schema.from_dict({"columns": {name: {"kind": "boolean"} for name in frame}})
    model = MarginalSynthesizer(components=8).fit(frame, schema=schema, privacy=Privacy(0.4, 1e-6, insecure_seed=0))
    assert any("triples of columns" in entry.purpose for entry in model.ledger_.entries)
    assert 0.3999 < model.ledger_.epsilon() <= 0.4


def test_single_columns_get_up_to_half_the_budget() -> None:
    shares = [one_way_share(10_000, gaussian_rho(epsilon, 1e-6)) for epsilon in (0.05, 0.3, 1.0, 10.0)]
    assert shares == pytest.approx([0.33, 0.5, 0.208, 0.112], abs=0.002)

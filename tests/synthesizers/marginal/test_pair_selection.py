"""Selection of pairs for detailed counts, and the total cost of all levels."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.budget_allocation import mixture_config, n_trees
from tabsynth.synthesizers.marginal.count_source import ExactCounts, MeasuredRows, NoisyCounts
from tabsynth.synthesizers.marginal.pair_selection import measure_levels, strongest_pairs
from tabsynth.synthesizers.marginal.product_mixture import Mixture

EVERY = [(a, b) for a in range(4) for b in range(a + 1, 4)]


def chain() -> Mixture:
    """Four columns of two tokens, each the less like the first the later it comes."""
    parts = []
    for column in range(4):
        likely = 0.5 + np.array([1, -1]) * (0.45 - 0.1 * column)
        parts.append(np.stack([likely, 1 - likely], axis=1).astype(np.float32))
    return Mixture(tuple(parts))


def test_the_first_tree_has_the_most_information_and_the_second_takes_of_the_rest() -> None:
    assert strongest_pairs(chain(), EVERY, 1) == ((0, 1), (0, 2), (0, 3))
    assert strongest_pairs(chain(), EVERY, 2) == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3))
    assert strongest_pairs(chain(), [(0, 1), (2, 3)], 2) == ((0, 1), (2, 3))


@pytest.mark.parametrize("target", [None, 0])
def test_all_levels_spend_their_share_and_detail_goes_to_the_strongest_pairs(target: int | None) -> None:
    rng = np.random.default_rng(0)
    rows, columns = 20_000, 12
    tokens = rng.integers(0, 10, (rows, columns)).astype(np.int32)
    for at in range(1, columns, 2):  # each even column has a partner
        tokens[:, at] = np.where(rng.random(rows) < 0.7, tokens[:, at - 1], tokens[:, at])
    marginals = [np.full(10, 0.1)] * columns
    rho = gaussian_rho(1.0, 1e-6)
    source = NoisyCounts(rho, PrivacyLedger(1.0, 1e-6), Noise.insecure(0))
    config = mixture_config(rows, rho, 64)
    names = [f"c{i}" for i in range(columns)]
    measured = MeasuredRows(lambda: tokens, float(rows), source, names)
    found = measure_levels(marginals, [10] * columns, target, measured, 1.0, config, 0)
    assert 0.999 < source.ledger.epsilon() <= 1.0
    assert [max(level.plan.sizes) for level in found] == [4, 8] + [4] * (target is not None) + [10]
    detailed = found[-1].plan.pairs
    assert {(a, a + 1) for a in range(0, columns, 2)} <= set(detailed)
    assert len(detailed) <= n_trees(rows, rho) * (columns - 1)


def test_without_noise_the_pairs_of_a_wide_table_are_few() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 3, (500, 40)).astype(np.int32)
    tokens[:, 7] = tokens[:, 30]
    measured = MeasuredRows(lambda: tokens, 500.0, ExactCounts(), [str(i) for i in range(40)])
    config = mixture_config(500, 4.0, 8)
    whole, _ = measure_levels([np.full(3, 1 / 3)] * 40, [0] * 40, 0, measured, 1.0, config, 0)
    assert (7, 30) in whole.plan.pairs
    assert {pair for pair in combinations(range(40), 2) if 0 in pair} <= set(whole.plan.pairs)
    assert len(whole.plan.pairs) < 250

"""Cells that noise makes indistinguishable share their block's rows."""

from __future__ import annotations

import numpy as np

from tabsynth.synthesizers.marginal.bins.count_estimates import shrink_to_block_means


def test_noise_alone_is_pulled_flat_and_what_stands_out_stays() -> None:
    rng = np.random.default_rng(0)
    blocks = np.repeat([0, 1], 100)
    truth = np.full(200, 10.0)
    truth[150] = 5000.0
    noisy = truth + rng.normal(0, 100, 200)
    found = shrink_to_block_means(noisy, 100, blocks)
    assert np.abs(found[:100] - truth[:100]).mean() < np.abs(noisy[:100] - truth[:100]).mean() / 2
    assert abs(found[150] - 5000) < 500
    np.testing.assert_allclose(np.bincount(blocks, found), np.bincount(blocks, noisy))


def test_without_noise_nothing_moves() -> None:
    fine = np.arange(10.0)
    np.testing.assert_array_equal(shrink_to_block_means(fine, 0.0, np.zeros(10, np.int64)), fine)

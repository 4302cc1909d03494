"""Drawing tokens: calibrated, stratified, and what both promise."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import chisquare

from tabsynth.training.draw import BLOCK, calibrating, inverse, stratified_uniforms, weighted


def random_rows(rows: int, size: int, seed: int) -> torch.Tensor:
    return torch.rand(rows, size, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_calibrated_rows_average_to_the_target() -> None:
    target = torch.tensor([0.5, 0.3, 0.2, 0.0])
    rows = random_rows(5000, 4, 0) * torch.tensor([1.0, 1, 1, 0])
    out = weighted(rows, calibrating(rows, target))
    assert torch.allclose(out.sum(1), torch.ones(5000))
    assert torch.allclose(out.mean(0), target, atol=2e-3)


def test_inverse_never_draws_what_cannot_be() -> None:
    chances = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).repeat(10_000, 1)
    uniforms = torch.cat([torch.tensor([0.0, 1.0 - 1e-7]), torch.rand(9998)])
    assert set(inverse(chances, uniforms).tolist()) == {1, 3}


def test_inverse_draws_by_the_chances() -> None:
    chances = torch.tensor([[0.1, 0.2, 0.7]]).repeat(20_000, 1)
    drawn = inverse(chances, torch.rand(20_000, generator=torch.Generator().manual_seed(1)))
    expected = 20_000 * np.array([0.1, 0.2, 0.7])
    assert chisquare(torch.bincount(drawn, minlength=3).numpy(), expected).pvalue > 1e-4  # false alarms: 1 in 10,000


def test_stratified_uniforms_fill_each_block_evenly() -> None:
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(BLOCK * 10 + 7, generator=generator)
    uniforms = stratified_uniforms(order, generator)
    for block in range(10):
        within = uniforms[order[block * BLOCK : (block + 1) * BLOCK]]
        assert sorted((within * BLOCK).long().tolist()) == list(range(BLOCK))
    assert ((uniforms >= 0) & (uniforms < 1)).all()

"""Calibrated and stratified sampling of tokens."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import chisquare

from tabsynth.synthesizers.sampling.calibration import (
    STRATUM_ROWS,
    fit_calibration_weights,
    reweight_,
    sample_balanced,
    sample_inverse_cdf,
    stratified_uniforms,
)


def random_rows(rows: int, size: int, seed: int) -> torch.Tensor:
    return torch.rand(rows, size, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_calibrated_rows_average_to_the_target() -> None:
    target = torch.tensor([0.5, 0.3, 0.2, 0.0])
    rows = random_rows(5000, 4, 0) * torch.tensor([1.0, 1, 1, 0])
    out = reweight_(rows, fit_calibration_weights(rows, target))
    assert torch.allclose(out.sum(1), torch.ones(5000))
    assert torch.allclose(out.mean(0), target, atol=2e-3)


def test_a_bias_that_neighbouring_tokens_share_is_removed() -> None:
    """Rows with few likely tokens pass mass only to tokens nearby, so that plain steps converge slowly."""
    place = torch.linspace(5, 145, 3000)
    rows = torch.softmax(-0.5 * ((torch.arange(150.0) - place[:, None]) / 14).square(), 1)
    target = rows.mean(0) * torch.linspace(0.9, 1.1, 150)
    target /= target.sum()
    assert 0.5 * (rows.mean(0) - target).abs().sum() > 0.02
    out = reweight_(rows, fit_calibration_weights(rows, target))
    assert 0.5 * (out.mean(0) - target).abs().sum() < 1e-3


def test_inverse_never_draws_what_cannot_be() -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).repeat(10_000, 1)
    uniforms = torch.cat([torch.tensor([0.0, 1.0 - 1e-7]), torch.rand(9998)])
    assert set(sample_inverse_cdf(probabilities, uniforms).tolist()) == {1, 3}


def test_inverse_draws_by_the_chances() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.7]]).repeat(20_000, 1)
    drawn = sample_inverse_cdf(probabilities, torch.rand(20_000, generator=torch.Generator().manual_seed(1)))
    expected = 20_000 * np.array([0.1, 0.2, 0.7])
    assert chisquare(torch.bincount(drawn, minlength=3).numpy(), expected).pvalue > 1e-4  # false alarms: 1 in 10,000


def test_stratified_uniforms_fill_each_block_evenly() -> None:
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(STRATUM_ROWS * 10 + 7, generator=generator)
    uniforms = stratified_uniforms(order, generator)
    for block in range(10):
        within = uniforms[order[block * STRATUM_ROWS : (block + 1) * STRATUM_ROWS]]
        assert sorted((within * STRATUM_ROWS).long().tolist()) == list(range(STRATUM_ROWS))
    assert ((uniforms >= 0) & (uniforms < 1)).all()


def grouped(rows: int, seed: int) -> torch.Tensor:
    """Twenty ways to part rows into a few groups, of sizes from a thousandth of the rows to a half."""
    rng = np.random.default_rng(seed)
    ways = [rng.choice(5, rows, p=[0.5, 0.3, 0.15, 0.049, 0.001]) for _ in range(20)]
    return torch.from_numpy(np.stack(ways, 1).astype(np.int32))


def test_balanced_groups_get_their_shares() -> None:
    """At most two fifths are left of what independent draws are off by; in ten samples it was .26 to .32."""
    probabilities, groups = random_rows(20_000, 3, 0), grouped(20_000, 1)
    members = torch.stack([groups[:, way] == group for way in range(20) for group in range(4)]).float()
    drawn = sample_balanced(probabilities, groups, torch.Generator().manual_seed(2))
    left = members @ (torch.nn.functional.one_hot(drawn, 3) - probabilities)
    independent = members @ (probabilities * (1 - probabilities))
    assert float(left.square().mean()) < 0.4**2 * float(independent.mean())


def test_a_balanced_row_has_its_chances() -> None:
    """Of 640 rows drawn 2,000 times each, with tokens of a half and of a fiftieth."""
    probabilities = random_rows(640, 3, 3) * torch.tensor([1.0, 0.2, 0.02])
    probabilities /= probabilities.sum(1, keepdim=True)
    groups, noise = grouped(640, 4), torch.Generator().manual_seed(5)
    counts = torch.zeros(640, 3)
    for _ in range(2000):
        counts += torch.nn.functional.one_hot(sample_balanced(probabilities, groups, noise), 3)
    off = (counts / 2000 - probabilities).abs()
    assert float(off.max()) < 0.05  # four standard errors of a chance of a half are .045
    assert float(off.mean()) < 0.009


def test_balance_never_draws_what_cannot_be() -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.5, 0.0], [0.25, 0.0, 0.0, 0.75]]).repeat(2000, 1)
    drawn = sample_balanced(probabilities, grouped(4000, 6), torch.Generator().manual_seed(7))
    assert bool((probabilities[torch.arange(4000), drawn] > 0).all())
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(5, 1)
    one = torch.zeros(10, 1, dtype=torch.int32)
    with_impossible = torch.zeros(4000, 6).index_copy_(1, torch.tensor([1, 2, 4, 5]), probabilities)
    again = sample_balanced(with_impossible, grouped(4000, 6), torch.Generator().manual_seed(7))
    assert torch.equal(again, torch.tensor([1, 2, 4, 5])[drawn])
    assert sample_balanced(certain, one, torch.Generator()).tolist() == [0, 1] * 5
    assert sample_balanced(certain[:1], one[:1], torch.Generator()).tolist() == [0]

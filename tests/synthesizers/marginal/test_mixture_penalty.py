"""The penalty of a mixture: its derivative, and the errors of fits to noisy pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.marginal.mixture_fit import (
    FREE_DEPENDENCE,
    MAX_SMOOTH_SHARE,
    ROUGHNESS_WEIGHT,
    _Penalty,
    fit_mixture,
)
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements

SIZES, ORDERED = (14, 3, 15, 6), (13, 0, 15, 6)
"""The last column has a token of more than ``MAX_SMOOTH_SHARE``: its ratios may be rough."""


def test_the_gradient_is_that_of_a_concave_function_of_divergence_and_roughness() -> None:
    rng = np.random.default_rng(0)
    marginals = [rng.dirichlet(np.full(size, 200)) for size in SIZES]
    parts = [torch.tensor(rng.dirichlet(np.ones(size), 4), requires_grad=True) for size in SIZES]
    total = torch.zeros((), dtype=torch.float64)
    for part, marginal, n in zip(parts, marginals, ORDERED, strict=True):
        ratio = part / torch.from_numpy(marginal)
        deviation = (part * ratio.log()).sum(1)
        if n and marginal.max() <= MAX_SMOOTH_SHARE:
            steps = ratio[:, :n].sqrt().diff(dim=1)
            distance = (marginal[1:n] + marginal[: n - 1]) / 2
            deviation = deviation + ROUGHNESS_WEIGHT * (steps**2 / torch.from_numpy(distance)).sum(1)
        total = total + 2.0 * FREE_DEPENDENCE * torch.log1p(deviation / FREE_DEPENDENCE).sum()
    total.backward()
    sums = torch.nn.functional.one_hot(torch.from_numpy(np.repeat(np.arange(len(SIZES)), SIZES)), len(SIZES)).float()
    joined = torch.cat([part.detach().float() for part in parts], dim=1)
    own = _Penalty(marginals, ORDERED, 2.0).gradient(joined, sums)
    for part, slope in zip(parts, torch.split(own, SIZES, dim=1), strict=True):
        assert part.grad is not None
        # Probabilities sum to 1, so a constant for each component and column is immaterial.
        difference = slope.double() - part.grad
        assert float((difference - difference.mean(1, keepdim=True)).abs().max()) < 1e-4


@pytest.mark.parametrize("dependence", ["smooth", "equal"])
def test_pairs_of_ordered_columns_are_fitted_with_a_fraction_of_their_noise(dependence: str) -> None:
    """Of three columns of 20 tokens, two depend on each other."""
    size, rows, sigma = 20, 5000, 8.0
    place = (np.arange(size) + 0.5) / size
    near = np.exp(-((place[:, None] - place) ** 2) / 0.02) if dependence == "smooth" else np.eye(size) + 1e-3
    for _ in range(50):
        near /= near.sum(1, keepdims=True) * size
        near /= near.sum(0) * size
    uniform: Floats = np.full(size, 1 / size)
    truth = {pair: near if pair == (0, 1) else np.outer(uniform, uniform) for pair in combinations(range(3), 2)}
    rng = np.random.default_rng(0)
    shares = tuple(table + rng.normal(0, sigma / rows, table.shape) for table in truth.values())
    plan = MeasurementPlan((np.arange(size),) * 3, tuple(truth))
    level = Measurements(plan, shares, ((sigma / rows) ** 2,) * 3)
    config = MixtureConfig(components=64, steps=200, rate=0.2, penalty=0.04)
    model = fit_mixture([uniform] * 3, [level], rows, config, seed=0, n_ordered=[size] * 3)
    parts = [part.astype(float) for part in model.parts]
    errors = [np.abs(parts[a].T @ parts[b] / 64 - table).sum() / 2 for (a, b), table in truth.items()]
    assert np.mean(errors) < {"smooth": 0.13, "equal": 0.11}[dependence], errors

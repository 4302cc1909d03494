"""The Gaussian copula of tokens: its conditionals are those of the data, and pooling follows held-out rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training.networks.gaussian_copula import GaussianCopula
from tabsynth.training.networks.layout import Layout


def normal_tokens(rows: int, seed: int = 0) -> tuple[torch.Tensor, Layout]:
    """Three slots of a trivariate normal distribution, in quantile bins of thirty, thirty and two."""
    rng = np.random.default_rng(seed)
    covariance = np.array([[1.0, 0.9, 0.5], [0.9, 1.0, 0.4], [0.5, 0.4, 1.0]])
    values = rng.multivariate_normal(np.zeros(3), covariance, rows)
    tokens = np.stack([pd.qcut(values[:, i], n, labels=False) for i, n in enumerate((30, 30, 2))], 1)
    counts = tuple(np.bincount(tokens[:, i], minlength=size) for i, size in enumerate((30, 30, 2)))
    return torch.from_numpy(tokens), Layout((30, 30, 2), (30, 30, 2), counts)


def empirical(tokens: torch.Tensor, known: dict[int, int], slot: int, size: int) -> npt.NDArray[np.float64]:
    rows = np.all([tokens[:, other].numpy() == token for other, token in known.items()], axis=0)
    return np.bincount(tokens[rows, slot].numpy(), minlength=size) / rows.sum()


@pytest.fixture(scope="module")
def fitted() -> tuple[torch.Tensor, Layout, GaussianCopula]:
    tokens, layout = normal_tokens(200_000)
    return tokens, layout, GaussianCopula.fit(tokens, layout)


@pytest.mark.parametrize(("known", "slot"), [({0: 6}, 1), ({0: 28}, 2), ({0: 15, 2: 1}, 1), ({1: 1, 2: 0}, 0)])
def test_conditionals_are_those_of_normal_data(
    fitted: tuple[torch.Tensor, Layout, GaussianCopula], known: dict[int, int], slot: int
) -> None:
    tokens, layout, copula = fitted
    row = torch.full((1, 3), -1)
    for other, token in known.items():
        row[0, other] = token
    own = copula.log_prob(row, slot, [0, 1, 2]).exp().numpy()[0]
    assert own.sum() == pytest.approx(1)
    assert np.abs(own - empirical(tokens, known, slot, layout.sizes[slot])).sum() / 2 < 0.06


def test_rows_with_different_known_slots_are_conditioned_on_their_own() -> None:
    tokens, layout = normal_tokens(2000)
    copula, mixed = GaussianCopula.fit(tokens, layout), tokens[:4].clone()
    mixed[1, 0] = mixed[3, 1] = -1
    together = copula.log_prob(mixed, 2, [0, 1])
    alone = torch.cat([copula.log_prob(mixed[i : i + 1], 2, [0, 1]) for i in range(4)])
    torch.testing.assert_close(together, alone)


def test_duplicate_and_constant_columns_leave_finite_probabilities() -> None:
    tokens, layout = normal_tokens(50)
    twice = torch.cat([tokens, tokens, torch.zeros_like(tokens[:, :1])], 1)
    wide = Layout((*layout.sizes * 2, 2), (*layout.lines * 2, 0), (*layout.counts * 2, np.array([50, 0])))
    copula = GaussianCopula.fit(twice, wide)
    assert all(bool(torch.isfinite(copula.log_prob(twice, slot, range(7))).all()) for slot in range(7))


def test_the_pool_follows_whichever_model_predicts_held_out_rows() -> None:
    tokens, layout = normal_tokens(3000)
    copula = GaussianCopula.fit(tokens[:2000], layout)
    held = tokens[2000:]
    good = [copula.log_prob(held, slot, range(slot)).numpy() for slot in range(3)]
    poor = [np.roll(table, 1, axis=0) for table in good]
    for network, own, better in ((poor, good, 1), (good, poor, 0)):
        exponents = copula.pooled_with(network, own, held.numpy()).exponents
        assert (exponents[1:, better] > 0.8).all()
        assert (exponents[1:, 1 - better] < 0.2).all()


def test_a_small_table_of_correlated_columns_keeps_its_correlations() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(300, 8))
    real = pd.DataFrame(values, columns=list("abcdefgh")).round(2)
    model = MaskedSynthesizer(epochs=10).fit(real.iloc[:200], seed=0, progress=False)
    fresh = real.iloc[200:]
    pooled, drawn = model.log_prob(fresh).mean(), model.sample(300, seed=1)
    assert np.abs(drawn.corr() - real.corr()).to_numpy().mean() < 0.1
    assert (drawn.round(2) == drawn).to_numpy().all()
    model.copula_ = None
    assert pooled > model.log_prob(fresh).mean() + 3
    assert np.abs(model.sample(300, seed=1).corr() - real.corr()).to_numpy().mean() > 0.12


def test_categories_are_ordered_by_the_other_columns() -> None:
    """The categories' own order does not follow the number, so one latent variable needs another order."""
    rng = np.random.default_rng(0)
    number = rng.integers(0, 4, 2000)
    category = np.array([2, 0, 3, 1])[number]
    change = rng.random(2000) < 0.1
    category[change] = rng.integers(0, 4, int(change.sum()))
    tokens = torch.from_numpy(np.stack([number, category], 1))
    counts = tuple(np.bincount(tokens[:, slot].numpy(), minlength=4) for slot in range(2))
    layout = Layout((4, 4), (4, 0), counts, missing=(None, None))
    copula = GaussianCopula.fit(tokens, layout)
    rows = torch.tensor([[value, -1] for value in range(4)])
    assert copula.log_prob(rows, 1, [0]).argmax(1).tolist() == [2, 0, 3, 1]
    again = GaussianCopula.from_arrays(copula.arrays(), layout)
    assert torch.equal(again.log_prob(rows, 1, [0]), copula.log_prob(rows, 1, [0]))

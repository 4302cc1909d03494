"""Balanced draws: pairs nearer to what the mixture expects, and nothing else changed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.synthesizers.marginal import product_mixture
from tabsynth.synthesizers.marginal.product_mixture import Mixture

SIZES = (6, 5, 4, 3)
FREE = np.full((4000, 4), -1, np.int32)


def mixture(components: int = 12, **facts: object) -> Mixture:
    rng = np.random.default_rng(1)
    return Mixture(tuple(rng.dirichlet(np.ones(size), components).astype(np.float32) for size in SIZES), **facts)  # type: ignore[arg-type]


def pair_table(rows: Tokens, a: int, b: int) -> Floats:
    cells = rows[:, a] * SIZES[b] + rows[:, b]
    return np.bincount(cells, minlength=SIZES[a] * SIZES[b]).reshape(SIZES[a], SIZES[b]) / len(rows)


def squared_error(model: Mixture, rows: Tokens) -> float:
    total = 0.0
    for a, b in combinations(range(4), 2):
        expected = model.parts[a].T.astype(float) @ model.parts[b] / model.components
        total += float(((pair_table(rows, a, b) - expected) ** 2).sum())
    return total


def drawn(model: Mixture, seed: int, monkeypatch: pytest.MonkeyPatch | None = None, fixed: Tokens = FREE) -> Tokens:
    """Draw rows; with a monkeypatch, without balancing them."""
    allowed: list[Floats | None] = [None] * 4
    if monkeypatch is None:
        return model.draw(fixed, allowed, np.random.default_rng(seed))
    with monkeypatch.context() as patch:
        patch.setattr(product_mixture, "balance_pairs", lambda *args: None)
        return model.draw(fixed, allowed, np.random.default_rng(seed))


@pytest.mark.parametrize("components", [1, 12, 400])
def test_pairs_are_nearer_to_their_expectation(components: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixture(components)
    errors = [[squared_error(model, drawn(model, seed, own)) for seed in range(3)] for own in (monkeypatch, None)]
    assert np.mean(errors[1]) < 0.5 * np.mean(errors[0])


def test_columns_keep_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixture()
    before, after = drawn(model, 5, monkeypatch), drawn(model, 5)
    assert (before != after).any()
    for column, size in enumerate(SIZES):
        own, other = (np.bincount(rows[:, column], minlength=size) for rows in (before, after))
        assert np.array_equal(own, other)


def test_a_draw_repeats_with_its_seed_and_independent_rows_are_not_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixture()
    assert np.array_equal(drawn(model, 6), drawn(model, 6))
    allowed: list[Floats | None] = [None] * 4
    monkeypatch.setattr(product_mixture, "balance_pairs", lambda *args: pytest.fail("balanced"))
    model.draw(FREE, allowed, np.random.default_rng(6), stratify=False)


def test_the_mean_of_many_draws_is_the_mixture() -> None:
    model = mixture()
    few = FREE[:150]
    rows = np.concatenate([drawn(model, seed, fixed=few) for seed in range(200)])
    for a, b in combinations(range(4), 2):
        expected = model.parts[a].T.astype(float) @ model.parts[b] / model.components
        # 30,000 rows: a standard deviation of at most .0023 for a frequency of .2.
        assert np.abs(pair_table(rows, a, b) - expected).max() < 0.01
    first, second, third = (part.astype(float) for part in model.parts[:3])
    triple = np.einsum("ka,kb,kc->abc", first, second, third) / model.components
    cells = np.ravel_multi_index(tuple(rows[:, :3].T), SIZES[:3])
    found = np.bincount(cells, minlength=triple.size) / len(rows)
    assert np.abs(found - triple.ravel()).max() < 0.01


def test_fixed_tokens_and_forbidden_pairs_are_respected() -> None:
    forbidden = np.zeros((6, 5), bool)
    forbidden[0, :3] = True
    fixed = FREE.copy()
    fixed[::2, 3] = 1
    rows = drawn(mixture(forbidden={(0, 1): forbidden}), 7, fixed=fixed)
    assert (rows[::2, 3] == 1).all()
    assert not forbidden[rows[:, 0], rows[:, 1]].any()


def test_a_token_that_depends_on_the_one_before_stays_with_it() -> None:
    follows = np.zeros((6, 5))
    follows[np.arange(6), np.arange(6) % 5] = 1
    rows = mixture().draw(FREE, [None, follows, None, None], np.random.default_rng(8))
    assert np.array_equal(rows[:, 1], rows[:, 0] % 5)

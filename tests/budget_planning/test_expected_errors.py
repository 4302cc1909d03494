"""Expected errors of columns and pairs from the planned noise, against simulated fits."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from tabsynth.budget_planning.expected_errors import ExpectedErrors, expected_errors, structure_savings
from tabsynth.budget_planning.planned_noise import PlannedNoise
from tabsynth.budget_planning.simulation import from_cardinalities, simulate_table
from tabsynth.errors import PrivacyError
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.schema import Schema
from tabsynth.synthesizers.registry import create

DELTA = 1e-6
SIZES = (2, 2, 3, 4, 5, 6, 8, 8)
COLUMNS: dict[str, dict[str, Any]] = {
    "district": {"kind": "categorical", "values": [f"d{i:02}" for i in range(12)]},
    "region": {"kind": "categorical", "values": ["north", "middle", "south"]},
    "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0},
    "child": {"kind": "boolean"},
    "income": {"kind": "numeric", "low": 0, "high": 500_000, "decimals": 0, "nullable": True},
    "ill": {"kind": "boolean", "role": "target"},
}
RULES: list[dict[str, Any]] = [
    {
        "kind": "lookup",
        "column": "region",
        "by": "district",
        "values": {f"d{i:02}": ("north", "middle", "south")[i // 4] for i in range(12)},
    },
    {"kind": "if_then", "when": "child", "then": "age < 18"},
]
SCHEMA = Schema.from_dict({"columns": COLUMNS, "constraints": RULES})


def one(schema: Schema, rows: int, epsilon: float, rows_per_person: int = 1) -> ExpectedErrors:
    (errors,) = expected_errors(schema, rows, (epsilon,), DELTA, rows_per_person)
    return errors


@pytest.mark.parametrize("epsilon", [0.3, 3.0])
def test_simulated_fits_have_the_expected_errors_within_a_factor(epsilon: float) -> None:
    """The mean is within a factor of 3 (0.5 and 1.1 times the expected one), each pair within 6 (0.4 to 1.8 times).

    A fit shrinks noise at small budgets, and has an error of its own at large ones.
    """
    schema, rows = from_cardinalities(SIZES), 20_000
    table = simulate_table(schema, rows, None, seed=0)
    privacy = Privacy(epsilon, DELTA, n_public=rows, insecure_seed=0)
    drawn = create("marginal").fit(table, schema=schema, privacy=privacy, progress=False).sample(10 * rows, seed=0)
    sizes = dict(zip(schema, SIZES, strict=True))
    real, own = ({name: frame[name].str[1:].astype(int).to_numpy() for name in schema} for frame in (table, drawn))
    expected = one(schema, rows, epsilon)
    realised = {}
    for a, b in combinations(schema, 2):
        shares = [
            np.bincount(codes[a] * sizes[b] + codes[b], minlength=sizes[a] * sizes[b]) / len(codes[a])
            for codes in (real, own)
        ]
        realised[a, b] = float(np.abs(shares[0] - shares[1]).sum() / 2)
    ratios = [realised[pair] / expected.pairs[pair] for pair in realised]
    assert 1 / 3 < float(np.mean(list(realised.values()))) / expected.mean_pairs < 3
    assert min(ratios) > 1 / 6
    assert max(ratios) < 6
    assert spearmanr([realised[pair] for pair in expected.pairs], list(expected.pairs.values())).statistic > 0.6


def test_the_distance_is_the_mean_of_noisy_tables() -> None:
    """The mean of 4,000 tables of 24 cells has a standard error below half a percent."""
    plan = PlannedNoise(gaussian_rho(1.0, DELTA), 20_000, 1, {})
    sigma, cells = 7.0, 24
    noise = np.random.default_rng(0).normal(0, sigma, (4000, cells))
    realised = float(np.abs(noise).sum(1).mean() / 2 / 20_000)
    assert plan.distance(cells * sigma**2, cells) == pytest.approx(realised, rel=0.02)


def test_noise_that_hides_everything_errs_as_much_as_equal_shares() -> None:
    """The mean over 20,000 random distributions has a standard error below half a percent."""
    plan, cells = PlannedNoise(gaussian_rho(1.0, DELTA), 20_000, 1, {}), 24
    shares = np.random.default_rng(0).dirichlet(np.ones(cells), 20_000)
    realised = float(np.abs(shares - 1 / cells).sum(1).mean() / 2)
    assert plan.distance(1e15, cells) == pytest.approx(realised, rel=0.1)  # exponential, not normal, differences


def test_larger_budgets_and_more_rows_err_less_and_more_rows_per_person_err_more() -> None:
    base = one(SCHEMA, 20_000, 1.0)
    assert one(SCHEMA, 20_000, 10.0).mean_pairs < 0.5 * base.mean_pairs
    assert one(SCHEMA, 200_000, 1.0).mean_pairs < 0.5 * base.mean_pairs
    assert one(SCHEMA, 20_000, 1.0, rows_per_person=4).mean_pairs > 2 * base.mean_pairs
    assert all(0 < error < 1 for error in (*base.columns.values(), *base.pairs.values()))
    assert set(base.pairs) == set(combinations(COLUMNS, 2))


def test_a_budget_too_small_for_pairs_is_reported() -> None:
    assert one(SCHEMA, 20_000, 1.0).counts_pairs
    assert not one(SCHEMA, 200, 0.05).counts_pairs


@pytest.mark.parametrize("rows", [300, 1000, 10_000])
def test_more_epsilon_is_never_expected_to_err_more(rows: int) -> None:
    """Also where pairs begin to be counted, which takes most of the budget of single columns."""
    epsilons = np.geomspace(0.02, 20, 40).tolist()
    plans = expected_errors(SCHEMA, rows, epsilons, DELTA)
    assert {plan.counts_pairs for plan in plans} == {False, True}
    for larger, smaller in zip(plans[1:], plans, strict=False):
        assert all(larger.columns[name] <= smaller.columns[name] for name in COLUMNS)
        assert all(larger.pairs[pair] <= smaller.pairs[pair] for pair in larger.pairs)
    assert list(reversed(expected_errors(SCHEMA, rows, epsilons[::-1], DELTA))) == list(plans)


def test_pairs_that_are_not_counted_lose_their_dependence() -> None:
    """Where single columns have hardly any error, the loss of a typical dependence is left: 0.11."""
    alone = next(
        plan
        for plan in reversed(expected_errors(from_cardinalities([2] * 40), 2000, (0.3, 1.0), DELTA))
        if not plan.counts_pairs
    )
    assert max(alone.columns.values()) < 0.04
    assert 0.08 < alone.mean_pairs < 0.13


def test_a_table_of_one_column_has_no_pairs() -> None:
    errors = one(Schema.from_dict({"columns": {"age": COLUMNS["age"]}}), 1000, 1.0)
    assert errors.pairs == {}
    assert errors.mean_pairs == errors.columns["age"]


def test_constraints_save_a_looked_up_column_and_impossible_combinations() -> None:
    errors, saved = one(SCHEMA, 20_000, 1.0), structure_savings(SCHEMA, 20_000, (1.0,), DELTA)
    assert saved is not None
    assert saved.determined == ("region",)
    assert saved.forbidden == {("age", "child"): pytest.approx(82 / 200)}  # children of 18 to 99 years
    (without,) = saved.without
    assert errors.mean_pairs < without.mean_pairs
    assert errors.pairs["age", "child"] < without.pairs["age", "child"]
    assert errors.pairs["district", "region"] < 0.8 * without.pairs["district", "region"]
    assert structure_savings(Schema(SCHEMA.columns), 20_000, (1.0,), DELTA) is None


def test_an_undeclared_bound_is_an_error() -> None:
    with pytest.raises(PrivacyError, match="column 'age'"):
        one(SCHEMA.replace("age", low=None), 1000, 1.0)

"""Closed-form chance levels and the interval of the mean trend error, against enumeration and repetition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom, ks_2samp

from tabsynth.evaluation.metrics.fidelity import fidelity_scores, shape_floor
from tabsynth.evaluation.stats.distances import shape_errors, trend_errors
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.evaluation.stats.null_distance import NullDistribution
from tabsynth.evaluation.stats.pair_trends import compare_pairs
from tabsynth.schema import Schema

KINDS = {"x": "numeric", "y": "numeric", "k": "categorical", "g": "categorical", "h": "categorical"}
SCHEMA = Schema.from_dict({"columns": {name: {"kind": kind} for name, kind in KINDS.items()}})


def people(n: int, rng: np.random.Generator, strength: float = 1.0) -> pd.DataFrame:
    """Numbers and categories that depend on each other with a given strength; some categories are rare."""
    x = rng.normal(size=n)
    g = rng.choice(list("abcdefgh"), n, p=[0.4, 0.3, 0.15, 0.08, 0.04, 0.02, 0.006, 0.004])
    k = np.where(strength * x + rng.normal(size=n) > 0, "high", "low")
    h = np.where(rng.random(n) < 0.3 * strength, g, rng.choice(list("abc"), n))
    return pd.DataFrame({"x": x, "y": strength * x + rng.standard_t(5, n), "k": k, "g": g, "h": h})


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (30, 30), (50, 13)])
def test_chance_is_what_counting_all_partings_gives(n: int, m: int) -> None:
    found = NullDistribution.of(n, m)
    for k in range(n + m + 1):
        inside = np.arange(min(k, n) + 1)
        weight = hypergeom(n + m, k, n).pmf(inside)
        gap = np.abs(inside / n - (k - inside) / m)
        assert found.mean[k] == pytest.approx(weight @ gap, abs=1e-12)
        assert found.variance[k] == pytest.approx(weight @ gap**2 - (weight @ gap) ** 2, abs=1e-12)


def test_floors_are_what_many_halvings_give() -> None:
    rng = np.random.default_rng(0)
    (real,) = encode_tables([people(400, rng)], SCHEMA)
    found = compare_pairs(real, real, None, rng)
    orders = [rng.permutation(400) for _ in range(600)]
    halves = [(real.take(order[:200]), real.take(order[200:])) for order in orders]
    trend = np.mean([trend_errors(a, b) for a, b in halves], axis=0)
    counted = ~(real.encoding.continuous[:, None] & real.encoding.continuous)
    np.testing.assert_allclose(found.floors[counted], trend[counted], rtol=0.05)
    shape = np.mean([shape_errors(a, b) for a, b in halves], axis=0)
    np.testing.assert_allclose(
        shape_floor(real, None, rng)[2:], shape[2:], rtol=0.12
    )  # one halving scatters by 75 %, 600 by 3 %
    # numbers are halved three times: near the mean over many halvings, and KS is scipy's
    assert shape_floor(real, None, rng)[0] == pytest.approx(shape[0], rel=0.5)
    left, right = halves[0]
    assert shape_errors(left, right)[0] == pytest.approx(ks_2samp(left.values[:, 0], right.values[:, 0]).statistic)


@pytest.mark.parametrize("strength", [1.0, 0.8, 0.0], ids=["same", "near", "far"])
@pytest.mark.slow
def test_the_interval_is_as_wide_as_fresh_rows_scatter(strength: float) -> None:
    """Of 80 repeats the deviation is known to 8 %; three deviations of that and a tenth of our own are allowed."""
    rng = np.random.default_rng(1)
    values, halves = [], []
    for _ in range(80):
        real, synthetic = encode_tables([people(500, rng), people(700, rng, strength)], SCHEMA)
        found = compare_pairs(real, synthetic, None, rng)
        values.append(found.errors[np.triu_indices(5, 1)].mean())
        halves.append(found.half)
        np.testing.assert_allclose(found.errors, trend_errors(real, synthetic), atol=1e-12)
    assert np.mean(halves) == pytest.approx(1.96 * np.std(values), rel=0.34)


def test_of_many_columns_every_one_is_compared_in_a_block() -> None:
    rng = np.random.default_rng(0)
    d, n = 130, 60
    factor = rng.normal(size=(n, 1))

    def wide() -> pd.DataFrame:
        numbers = 0.5 * factor + rng.normal(size=(n, d))
        return pd.DataFrame({f"c{k}": numbers[:, k] if k % 2 else numbers[:, k] > 0 for k in range(d)})

    columns = {f"c{k}": {"kind": "numeric" if k % 2 else "boolean"} for k in range(d)}
    schema = Schema.from_dict({"columns": columns})
    real, other, fresh = encode_tables([wide(), wide(), wide()], schema)
    found = compare_pairs(real, other, fresh, rng)
    assert set(np.ravel(found.pairs)) == set(range(d))
    assert len(found.pairs) == 2 * (65 * 64 // 2)
    a, b = np.array(found.pairs).T
    np.testing.assert_allclose(found.errors[a, b], trend_errors(real, other)[a, b], atol=1e-12)
    np.testing.assert_allclose(found.floors[a, b], trend_errors(real, fresh)[a, b], atol=1e-12)
    mean = found.errors[a, b].mean()
    assert 0.3 * mean > found.half > 0
    score = fidelity_scores(real, other, fresh, np.random.default_rng(0))[1]
    assert "4,160 of 8,385 pairs" in score.method
    assert len(score.detail) == 4160

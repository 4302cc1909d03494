"""Inference in a graphical model agrees with enumeration of all rows."""

from __future__ import annotations

import json
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.arrays import Floats
from tabsynth.errors import MissingDependencyError, PrivacyError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.fit import from_arrays, to_arrays
from tabsynth.synthesizers.marginal.graphical_model import GraphicalModel
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

SIZES = (3, 2, 4, 2, 3)
ROWS = np.array(list(product(*map(range, SIZES))), np.int32)


def model() -> GraphicalModel:
    """A cycle, which no tree can represent, and an independent column; one cell without mass."""
    rng = np.random.default_rng(5)
    columns = ((0, 1), (1, 2), (2, 3), (0, 3), (4,))
    tables = [rng.dirichlet(np.ones(4), [SIZES[c] for c in own])[..., 0] for own in columns]
    tables[0][1, 1] = 0.0
    return GraphicalModel(SIZES, columns, tuple(tables))


def by_hand() -> Floats:
    own = model()
    probabilities = np.ones(len(ROWS))
    for columns, table in zip(own.columns, own.tables, strict=True):
        probabilities *= table[tuple(ROWS[:, column] for column in columns)]
    return np.asarray(probabilities / probabilities.sum())


def test_the_likelihood_is_the_normalised_product_and_marginals_are_its_sums() -> None:
    probabilities = by_hand()
    np.testing.assert_allclose(np.exp(model().log_likelihood(ROWS)), probabilities, rtol=1e-9, atol=1e-12)
    for seen in ((0,), (1, 3), (2, 4)):
        partial = np.full_like(ROWS, -1)
        partial[:, seen] = ROWS[:, seen]
        same = (ROWS[:, None, list(seen)] == ROWS[None, :, list(seen)]).all(2)
        np.testing.assert_allclose(np.exp(model().log_likelihood(partial)), same @ probabilities, rtol=1e-9, atol=1e-12)


def test_the_distribution_of_a_column_given_others() -> None:
    asked = np.array([[-1, 1, -1, 0, -1], [2, -1, -1, -1, -1]], np.int32)
    found, probabilities = model().probabilities(asked, 2), by_hand()
    for row, own in zip(asked, found, strict=True):
        fits = ((row == ROWS) | (row < 0)).all(1)
        expected = np.bincount(ROWS[fits, 2], weights=probabilities[fits], minlength=4)
        np.testing.assert_allclose(own, expected / expected.sum(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("stratify", [True, False])
def test_draws_follow_the_likelihood(stratify: bool) -> None:
    """Chi-square of 144 cells at 40,000 draws; a false alarm in a million, and the seed is fixed."""
    n = 40_000
    drawn = model().draw(np.full((n, 5), -1, np.int32), [None] * 5, np.random.default_rng(0), stratify=stratify)
    expected = n * by_hand()
    seen = np.bincount(np.ravel_multi_index(tuple(drawn.T), SIZES), minlength=len(ROWS))
    big = expected > 1
    assert ((seen[big] - expected[big]) ** 2 / expected[big]).sum() < big.sum() + 5 * np.sqrt(2 * big.sum())
    assert seen[expected == 0].sum() == 0


def test_known_tokens_are_kept_and_limits_met_exactly() -> None:
    n = 40_000
    fixed = np.full((n, 5), -1, np.int32)
    fixed[: n // 2, 3] = 1
    limit, pairs = np.array([0.0, 1.0, 0.5, 0.0]), np.array([[1.0, 1.0, 0.0]] * 2)
    allowed: list[Floats | None] = [None, None, limit, None, pairs]
    drawn = model().draw(fixed, allowed, np.random.default_rng(0))
    assert (drawn[: n // 2, 3] == 1).all()
    assert set(drawn[:, 2]) == {1, 2}
    assert set(drawn[:, 4]) == {0, 1}
    weight = by_hand() * limit[ROWS[:, 2]] * (ROWS[:, 4] < 2)
    for part, own in ((drawn[: n // 2], weight * (ROWS[:, 3] == 1)), (drawn[n // 2 :], weight)):
        expected = np.bincount(ROWS[:, 0], weights=own / own.sum())
        np.testing.assert_allclose(np.bincount(part[:, 0], minlength=3) / len(part), expected, atol=0.015)


SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "ill": {"kind": "boolean", "role": "target"},
        }
    }
)


def frame(rows: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 100, rows)
    ill = rng.random(rows) < np.where(age > 60, 0.8, 0.1)
    return pd.DataFrame({"age": age, "sex": rng.choice(["f", "m"], rows), "ill": ill})


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mbi", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \'\.\[opendp\]\'"):
        MarginalSynthesizer(method="mst").fit(frame(), schema=SCHEMA, privacy=Privacy(1.0), progress=False)


def test_noise_of_a_seed_or_none_at_all_is_refused() -> None:
    pytest.importorskip("mbi")
    with pytest.raises(PrivacyError, match="insecure_seed"):
        seeded = Privacy(1.0, insecure_seed=1)
        MarginalSynthesizer(method="mst").fit(frame(), schema=SCHEMA, privacy=seeded, progress=False)
    with pytest.raises(PrivacyError, match="need privacy="):
        MarginalSynthesizer(method="aim").fit(frame(), progress=False)


def test_what_was_saved_comes_back() -> None:
    config, arrays = to_arrays(model())
    again = from_arrays(json.loads(json.dumps(config)), arrays)
    np.testing.assert_array_equal(again.log_likelihood(ROWS), model().log_likelihood(ROWS))

"""Virtual adversarial training, and adversarial rows that stay rows of their table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.model_selection import cross_val_score

from tabsynth.adversarial import VATClassifier, adversarial_rows
from tabsynth.errors import DataError, InputError, NotFittedError
from tabsynth.schema import Schema


@pytest.fixture
def fitted(toy: pd.DataFrame) -> VATClassifier:
    return VATClassifier(epochs=30, seed=0).fit(toy.drop(columns="outcome"), toy["outcome"])


def test_it_is_a_scikit_learn_estimator(toy: pd.DataFrame) -> None:
    model = VATClassifier(epochs=20, alpha=0.5)
    assert clone(model).get_params() == model.get_params()
    X = toy.drop(columns=["outcome", "mrn", "note"])
    assert cross_val_score(model, X, toy["outcome"], cv=3, scoring="roc_auc").mean() > 0.75
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_seed_decides_and_the_global_generator_is_left_alone(toy: pd.DataFrame) -> None:
    before = torch.get_rng_state()
    X = toy.drop(columns="outcome")
    first, again, other = (
        VATClassifier(epochs=2, seed=seed).fit(X, toy["outcome"]).predict_proba(X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_allclose(first.sum(axis=1), 1)


@pytest.mark.slow
def test_rows_without_a_label_help() -> None:
    """Eight labels and many unlabelled rows of two moons: the case for which the method was made."""
    points, truth = make_moons(600, noise=0.08, random_state=0)
    X = pd.DataFrame(points, columns=["a", "b"])
    rng = np.random.default_rng(0)
    is_partial = np.concatenate([rng.choice(np.flatnonzero(truth == label), 4, replace=False) for label in (0, 1)])
    y = pd.Series(truth, dtype=object).where(X.index.isin(is_partial), None)
    accuracy = {
        alpha: VATClassifier(
            alpha=alpha, epsilon=0.3, powers=2, hidden=(50, 50), epochs=200, batch=128, rate=5e-3
        ).fit(X, y).score(X, truth)
        for alpha in (0.0, 1.0)
    }  # fmt: skip
    assert accuracy[0.0] < 0.9
    assert accuracy[1.0] > 0.97


def test_vat_resists_adversarial_rows() -> None:
    data = load_breast_cancer(as_frame=True)
    rows = np.random.default_rng(0).permutation(len(data.data))
    train, test = rows[:284], rows[284:]
    X, y = data.data.iloc[test], data.target.to_numpy()[test]
    plain, robust = (
        VATClassifier(alpha=alpha, epochs=60).fit(data.data.iloc[train], data.target.iloc[train]) for alpha in (0, 1)
    )
    scores = [model.score(adversarial_rows(model, X, 0.3, y=y, seed=0), y) for model in (plain, robust)]
    assert robust.score(X, y) > plain.score(X, y) - 0.01
    assert scores[1] > scores[0] + 0.04


def test_adversarial_rows_mislead_inside_the_domain(fitted: VATClassifier, toy: pd.DataFrame) -> None:
    rows = adversarial_rows(fitted, toy, 0.5, y=toy["outcome"], flips=1, seed=0)
    before, after = fitted.score(toy, toy["outcome"]), fitted.score(rows, toy["outcome"])
    assert after < before - 0.05
    assert (rows.dtypes == toy.dtypes).all()
    assert list(rows.columns) == list(toy.columns)
    pd.testing.assert_frame_equal(rows.isna(), toy.isna())
    pd.testing.assert_frame_equal(rows[["mrn", "note", "outcome"]], toy[["mrn", "note", "outcome"]])
    for name, spread in (("age", toy["age"].std(ddof=0)), ("weight", toy["weight"].std(ddof=0))):
        assert (rows[name] - toy[name]).abs().max() <= 0.5 * spread + 1e-9
        assert rows[name].dropna().between(toy[name].min(), toy[name].max()).all()
    assert np.allclose(rows["weight"].dropna(), rows["weight"].dropna().round(1))
    assert set(rows["group"].dropna()) <= set(toy["group"].dropna())
    flips = (rows["group"].fillna("") != toy["group"].fillna("")).to_numpy() + (rows["smoker"] != toy["smoker"])
    assert flips.max() == 1
    truth = np.searchsorted(fitted.classes_, toy["outcome"])
    at = np.arange(len(toy))
    assert (fitted.log_proba(rows)[at, truth] <= fitted.log_proba(toy)[at, truth]).all()
    pd.testing.assert_frame_equal(rows, adversarial_rows(fitted, toy, 0.5, y=toy["outcome"], seed=0))


def test_nothing_changes_at_no_distance(fitted: VATClassifier, toy: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(adversarial_rows(fitted, toy, 0.0, flips=0, seed=0), toy)


def test_fixed_columns_stay(fitted: VATClassifier, toy: pd.DataFrame) -> None:
    rows = adversarial_rows(fitted, toy, 1.0, flips=2, fixed=["age", "group"], seed=0)
    pd.testing.assert_frame_equal(rows[["age", "group"]], toy[["age", "group"]])
    assert not rows["smoker"].equals(toy["smoker"])


def test_adversarial_rows_keep_bounds_and_constraints() -> None:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 10, 300)
    frame = pd.DataFrame({"low": low, "high": low + rng.integers(0, 4, 300), "kind": rng.choice(["a", "b", "c"], 300)})
    schema = Schema.from_dict(
        {
            "columns": {
                "low": {"kind": "numeric", "low": 0, "decimals": 0},
                "high": {"kind": "numeric", "high": 13, "decimals": 0},
                "kind": {"kind": "categorical", "values": ["a", "b", "c"]},
            },
            "constraints": [{"kind": "inequality", "low": "low", "high": "high"}],
        }
    )
    y = frame["high"] - frame["low"] > 1
    model = VATClassifier(schema=schema, epochs=10).fit(frame, y)
    rows = adversarial_rows(model, frame, 1.0, y=y, flips=1, seed=0)
    assert not rows.equals(frame)
    assert (rows["low"] <= rows["high"]).all()
    assert rows["low"].min() >= 0
    assert rows["high"].max() <= 13


@pytest.mark.parametrize(
    ("options", "message"),
    [({"alpha": -1}, "alpha"), ({"epochs": 0}, "epochs"), ({"epsilon": float("nan")}, "epsilon")],
)
def test_options_are_checked(toy: pd.DataFrame, options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VATClassifier(**options).fit(toy[["age"]], toy["outcome"])


def test_labels_are_checked(fitted: VATClassifier, toy: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="fewer than two classes"):
        VATClassifier().fit(toy[["age"]], ["ill"] * len(toy))
    with pytest.raises(DataError, match="one of the classes 'ill', 'well'"):
        adversarial_rows(fitted, toy, y=["odd"] * len(toy))
    with pytest.raises(DataError, match="missing columns: 'age'"):
        fitted.predict(toy.drop(columns="age"))

"""Raking: bias correction, effective sample size and refused margins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import DataError, InputError
from tabsynth.mixing.combination.raking import domain_auc, rake


def shares(column: pd.Series, weights: np.ndarray) -> dict[Any, float]:
    return pd.Series(weights).groupby(column.to_numpy()).sum().div(weights.sum()).to_dict()


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_margins_are_reached_and_ess_is_kish(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.choice(list("ab"), 400), "y": rng.choice(list("pqr"), 400)})
    margins: dict[str, dict[Any, float]] = {"x": {"a": 0.6, "b": 0.4}, "y": {"p": 0.5, "q": 0.2, "r": 0.3}}
    found = rake(frame, margins, cap=20)
    for name, wanted in margins.items():
        assert shares(frame[name], found.weights) == pytest.approx(wanted, abs=1e-6)
    assert found.weights.mean() == pytest.approx(1)
    assert found.ess == pytest.approx(1 / (1 + found.weights.var()))


def test_a_cap_holds_and_its_gap_is_stated() -> None:
    frame = pd.DataFrame({"x": ["a"] * 95 + ["b"] * 5})
    found = rake(frame, {"x": {"a": 0.5, "b": 0.5}}, cap=3, min_ess=0)
    assert found.weights.max() / np.median(found.weights) < 10
    assert found.report["largest_gap"] > 0.2
    assert found.report["capped"] == 5


def test_missing_values_keep_their_share() -> None:
    frame = pd.DataFrame({"x": ["a"] * 60 + ["b"] * 20 + [None] * 20})
    found = rake(frame, {"x": {"a": 0.5, "b": 0.5}})
    known = frame["x"].notna().to_numpy()
    assert found.weights[~known].sum() == pytest.approx(20, abs=1)
    assert shares(frame["x"][known], found.weights[known]) == pytest.approx({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize(
    ("margins", "more", "message"),
    [
        ({"x": {"a": 0.5, "b": 0.4}}, {}, "must be shares that sum to 1"),
        ({"x": {"a": 1.0}}, {}, "values without a margin, such as 'b'"),
        ({"x": {"a": 0.4, "b": 0.4, "c": 0.2}}, {}, "a share for 'c', but no row has this value"),
        ({"z": {"a": 1.0}}, {}, "the margin 'z' is not a column"),
        ({"x": {"a": 0.02, "b": 0.98}}, {"cap": 100}, "below min_ess 0.5"),
        ({}, {}, "no margin to rake to"),
        ({"x": {"a": 0.5, "b": 0.5}}, {"cap": 1.0}, "cap must be above 1"),
    ],
)
def test_impossible_margins_are_refused(margins: Any, more: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rake(pd.DataFrame({"x": ["a"] * 90 + ["b"] * 10}), margins, **more)


def test_domain_auc_measures_domain_shift() -> None:
    """Two equal distributions, 400 rows each: the AUC's standard error is 0.02, so 1 in 2000 exceeds 0.07."""
    rng = np.random.default_rng(0)

    def draw(shift: float) -> pd.DataFrame:
        return pd.DataFrame({"x": rng.normal(shift, 1, 400), "y": rng.choice(["p", "q", None], 400)})

    same = domain_auc({"a": draw(0), "b": draw(0)})
    assert abs(same["before"] - 0.5) < 0.07
    far = domain_auc({"a": draw(0), "b": draw(0), "c": draw(2.5)})
    assert far["before_by_source"]["c"] > 0.9 > far["before_by_source"]["a"]
    with pytest.raises(InputError, match="two sources or more"):
        domain_auc({"a": draw(0)})
    with pytest.raises(DataError, match="the weights of 'a' do not fit"):
        domain_auc({"a": draw(0), "b": draw(0)}, {"a": np.ones(3)})


def biased_adult(folder: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All of the official training rows, a sample of one half biased by sex, age and schooling, and the other half."""
    adult = pd.read_csv(folder / "adult.csv.gz").iloc[:32561]
    adult = adult.assign(age_group=pd.cut(adult["age"], [0, 25, 35, 45, 55, 65, 100]).astype(str))
    rng = np.random.default_rng(seed)
    slope = 0.9 * (adult["sex"] == "Male") - 0.3 * (adult["age"] - 38) / 13 + 0.5 * (adult["education-num"] - 10) / 2.5
    half = rng.random(len(adult)) < 0.5
    picked = half & (rng.random(len(adult)) < 1 / (1 + np.exp(0.7 - slope)))
    return adult, adult[picked], adult[~half]


@pytest.mark.slow
def test_a_biased_adult_sample_comes_back_to_the_truth(shared_data: Path) -> None:
    """One raked sample errs by 0.005, the mean of eight by 0.0018: the limit is passed in 1 of 7 choices of seeds."""
    off, ess = [], []
    for seed in range(8):
        adult, sample, rest = biased_adult(shared_data, seed)
        margins = {c: adult[c].value_counts(normalize=True).to_dict() for c in ("sex", "age_group", "education")}
        found = rake(sample, margins)
        rich = (sample["income"] == ">50K").to_numpy()
        off.append(np.average(rich, weights=found.weights) - (adult["income"] == ">50K").mean())
        ess.append(found.ess)
        assert rich.mean() - 0.2408 > 0.025
    assert abs(np.mean(off)) <= 0.0026
    assert np.mean(ess) >= 0.86
    columns = [c for c in adult.columns if c not in ("income", "age_group", "fnlwgt")]
    auc = domain_auc({"sample": sample[columns], "rest": rest[columns]}, {"sample": found.weights})
    assert auc["before"] > 0.55
    assert auc["after"] <= 0.518

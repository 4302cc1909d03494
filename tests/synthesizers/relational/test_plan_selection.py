"""Selection of sampled plans: the classes of children have the training shares among all child rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.synthesizers.relational.database_model import DatabaseModel
from tabsynth.synthesizers.relational.occurrences import plan_selection
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares
from tabsynth.synthesizers.relational.occurrences.plan_selection import (
    CANDIDATES,
    ChildPlan,
    PlanSelection,
    draw_balanced,
    fit_selection,
)
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

PLANS = [ChildPlan(("v.count", "v.first", "v.last"), ("v.kind=ill",), NestedShares.none(1))]


def plans(parents: int, seed: int, *, dependent: bool) -> pd.DataFrame:
    """Plans in which persons with many visits are ill, or in which illness is independent of the number of visits."""
    rng = np.random.default_rng(seed)
    many, ill = rng.random(parents) < 0.3, rng.random(parents) < 0.3
    share = np.where(many if dependent else ill, 0.8, 0.1)
    first = rng.integers(0, 100, parents)
    count = np.where(many, 60, 6) + rng.integers(0, 5, parents)
    return pd.DataFrame({"v.count": count, "v.first": first, "v.last": 200 - first, "v.kind=ill": share})


def ill_share(parents: pd.DataFrame) -> float:
    totals = PLANS[0].totals(parents)
    return float(totals[:, 1].sum() / totals[:, 0].sum())


def test_selected_plans_have_the_training_share_among_child_rows() -> None:
    real, candidates = plans(300, 0, dependent=True), plans(300 * CANDIDATES, 1, dependent=False)
    selection = PlanSelection.fit(PLANS, real, plans(300 * CANDIDATES, 2, dependent=False), 5)
    rows = selection.select(PLANS, candidates, 300, np.random.default_rng(0))
    assert len(np.unique(rows)) == 300
    assert ill_share(candidates) < ill_share(real) - 0.2
    assert ill_share(candidates.iloc[rows]) == pytest.approx(ill_share(real), abs=0.03)
    for name in ("v.count", "v.first", "v.last"):
        above = (candidates.iloc[rows][name] > real[name].median()).mean()
        assert above == pytest.approx((real[name] > real[name].median()).mean(), abs=0.04)


def test_plans_that_meet_a_condition_are_not_pulled_to_the_training_means() -> None:
    selection = PlanSelection.fit(PLANS, plans(300, 0, dependent=True), plans(300 * CANDIDATES, 2, dependent=False), 5)
    late = plans(300 * CANDIDATES, 1, dependent=False)
    late = late[late["v.first"] > 60].reset_index(drop=True)  # no candidate can restore the training mean of 50
    number = len(late) // CANDIDATES
    rows = selection.select(PLANS, late, number, np.random.default_rng(0), calibrate=False)
    assert len(np.unique(rows)) == number
    assert late.iloc[rows]["v.first"].mean() == pytest.approx(late["v.first"].mean(), abs=5)
    assert ill_share(late.iloc[rows]) > ill_share(late) + 0.1


def test_the_totals_of_the_largest_parents_are_clipped_at_that_of_a_group() -> None:
    real = plans(300, 0, dependent=True)
    candidates = plans(300 * CANDIDATES, 1, dependent=False)
    chosen, largest = [], real["v.count"].argmax()
    for most in (70, 7000):
        one = real.assign(**{"v.count": np.where(np.arange(300) == largest, most, real["v.count"])})
        chosen.append(PlanSelection.fit(PLANS, one, candidates, 5).coefficients)
    assert np.abs(chosen[0] - chosen[1]).max() < 1e-9


def test_balanced_samples_have_the_expected_sums_and_probabilities() -> None:
    rng = np.random.default_rng(0)
    data = rng.gamma(0.3, 1.0, (200, 2))
    chance = rng.random(200)
    chance *= 50 / chance.sum()
    drawn = [draw_balanced(chance, data, np.random.default_rng(seed)) for seed in range(15)]
    assert {len(rows) for rows in drawn} == {50}
    error = np.array([data[rows].sum(0) - chance @ data for rows in drawn])
    independent = np.sqrt((chance * (1 - chance)) @ data**2)
    assert (error.std(0) < independent / 2).all()
    held = np.mean([np.isin(np.arange(200), rows) for rows in drawn], axis=0)
    often = chance > np.median(chance)
    assert held[often].mean() == pytest.approx(chance[often].mean(), abs=0.03)
    assert len(draw_balanced(np.array([1.0, 0.0, 1.0]), data[:3], rng)) == 2


def test_plans_are_selected_only_if_many_parents_have_other_totals() -> None:
    def independent(number: int) -> pd.DataFrame:
        return plans(number, 1, dependent=False)

    real = plans(300, 0, dependent=True)
    assert fit_selection(PLANS, real, independent, 5) is not None
    assert fit_selection(PLANS, real, lambda number: real.sample(number, replace=True, random_state=0), 5) is None
    assert fit_selection(PLANS, real.iloc[:90], independent, 5) is None
    assert fit_selection([], real, independent, 5) is None


@pytest.mark.slow
def test_a_saved_model_selects_the_same_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_selection, "MIN_DEVIATION", 0.0)
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(100), 5)
    ill = np.where((owner % 4 == 0) & (rng.random(500) < 0.7), "asthma", "check-up")
    tables = {"person": pd.DataFrame({"id": np.arange(100)}), "visits": pd.DataFrame({"person_id": owner, "ill": ill})}
    model = RelationalSynthesizer(epochs=1).fit(tables, seed=0)
    assert isinstance(model._model, DatabaseModel)
    assert [*model._model.selections] == ["person"]
    drawn = model.sample(40, seed=1)
    model.save(tmp_path / "model")
    again = RelationalSynthesizer.load(tmp_path / "model").sample(40, seed=1)
    for name, frame in drawn.items():
        pd.testing.assert_frame_equal(again[name], frame)
    assert len(drawn["person"]) == 40

"""Kinds of histories, and the correction of repeated tokens."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.calibration import DAMPING, _stay_correction
from tabsynth.synthesizers.relational.histories.history_clusters import kinds_of
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def visits(parents: int, each: int = 6) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Visits of parents who go to one ward nine times in ten, and the ward of each parent."""
    rng = np.random.default_rng(0)
    home = rng.integers(0, 3, parents)
    owner = np.repeat(np.arange(parents), each)
    ward = np.where(rng.random(len(owner)) < 0.9, home[owner], rng.integers(0, 3, len(owner)))
    frame = pd.DataFrame({"ward": np.array(["eye", "heart", "skin"])[ward], "cost": rng.normal(size=len(owner))})
    return frame, owner, home


def test_parents_of_one_kind_have_similar_children() -> None:
    frame, owner, home = visits(100)
    kinds = kinds_of(frame, Schema.infer(frame), None, owner, owner, min_group=3)
    assert kinds is not None
    assert np.bincount(kinds).min() >= 3
    table = pd.crosstab(kinds, home)
    assert table.max(axis=1).sum() >= 90  # the most frequent ward of each kind is that of most of its parents


def test_kinds_rest_on_enough_roots() -> None:
    """Forty parents of one root each, and as many of one root, which make no kind of their own."""
    frame, owner, _ = visits(80)
    frame.loc[owner >= 40, "ward"] = "rare"
    roots = np.minimum(owner, 40)
    kinds = kinds_of(frame, Schema.infer(frame), None, owner, roots, min_group=5)
    assert kinds is not None
    held = pd.Series(np.minimum(np.arange(80), 40)).groupby(kinds).nunique()
    assert held.min() >= 5


def test_parents_without_children_and_like_histories_have_no_kind() -> None:
    frame, owner, _ = visits(40)
    kinds = kinds_of(frame, Schema.infer(frame), None, owner * 2, owner, min_group=3)
    assert kinds is not None
    assert (kinds[1::2] == -1).all()
    assert (kinds[::2] >= 0).all()
    alike = frame.assign(ward="eye", cost=1.0)
    assert kinds_of(alike, Schema.infer(frame), None, owner, owner, min_group=3) is None


@pytest.mark.slow
def test_siblings_share_what_distinguishes_their_parent() -> None:
    frame, owner, _ = visits(150, each=5)
    tables = {"person": pd.DataFrame({"id": np.arange(150)}), "visits": frame.assign(person_id=owner)}
    model = RelationalSynthesizer(epochs=8).fit(tables, seed=0)
    drawn = model.sample(600, seed=1)["visits"]
    assert drawn.columns.tolist() == ["ward", "cost", "person_id"]
    most = {
        name: pd.crosstab(one.person_id, one.ward).max(axis=1).div(one.groupby("person_id").size()).mean()
        for name, one in (("real", tables["visits"]), ("drawn", drawn))
    }
    assert abs(most["drawn"] - most["real"]) < 0.07


def test_tokens_that_are_repeated_too_seldom_gain_odds() -> None:
    rng = np.random.default_rng(0)
    later = np.tile([False, True, True, True], 500)
    tokens = {stay: np.zeros(2000, np.int64) for stay in (0.9, 0.5)}
    for stay, one in tokens.items():
        for row in range(2000):
            one[row] = one[row - 1] if later[row] and rng.random() < stay else rng.integers(0, 2)
    step = _stay_correction(tokens[0.9], tokens[0.5], np.ones(2000, bool), later, 3)
    odds = np.log((0.95 / 0.05) / (0.75 / 0.25))
    np.testing.assert_allclose(step[:2], min(DAMPING * odds, 1.0), atol=0.15)
    assert step[2] == 0

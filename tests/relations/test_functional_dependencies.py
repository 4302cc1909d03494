"""Functional dependencies hold in every synthetic row under any condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.relations.categories.token_rules import hold, repair
from tabsynth.relations.functional_dependencies import discover
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create

COUNTRY = {"Bern": "Switzerland", "Basel": "Switzerland", "Oslo": "Norway", "Bergen": "Norway", "Lund": "Sweden"}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A city decides its country and its code; an age decides whether a person is of age."""
    rng = np.random.default_rng(0)
    city = rng.choice(list(COUNTRY), 900, p=[0.3, 0.2, 0.2, 0.2, 0.1])
    age = rng.integers(10, 40, 900)
    codes = {name: i for i, name in enumerate(COUNTRY)}
    return pd.DataFrame(
        {
            "country": [COUNTRY[name] for name in city],
            "age": age,
            "adult": np.where(age >= 18, "yes", "no"),
            "city": city,
            "code": [f"c{codes[name]}" for name in city],
            "other": rng.choice(["a", "b", "c"], 900),
        }
    )


def kept(rows: pd.DataFrame) -> bool:
    return bool(
        (rows["country"] == rows["city"].map(COUNTRY)).all()
        and (rows["code"].str[1:].astype(int) == rows["city"].map(list(COUNTRY).index)).all()
        and ((rows["adult"] == "yes") == (rows["age"] >= 18)).all()
    )


@pytest.fixture(scope="module")
def barely_fitted(frame: pd.DataFrame) -> MaskedSynthesizer:
    """A model that has learned little."""
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


@pytest.mark.parametrize("kind", ["masked", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("vae", "gan"))])
def test_functions_hold_however_little_was_learned(
    frame: pd.DataFrame, barely_fitted: MaskedSynthesizer, kind: str, tmp_path: Path
) -> None:
    fitted = barely_fitted if kind == "masked" else create(kind, epochs=1).fit(frame, seed=0, progress=False)
    assert kept(fitted.sample(700, seed=1))
    fitted.save(tmp_path / "model.tabsynth")
    again = tabsynth.load(tmp_path / "model.tabsynth")
    pd.testing.assert_frame_equal(again.sample(300, seed=2), fitted.sample(300, seed=2))


@pytest.mark.parametrize(
    "given",
    [{"country": "Norway"}, {"country": ["Norway", "Sweden"]}, {"adult": "no", "code": "c3"}, {"age": (9, 17)}],
)
def test_functions_hold_under_conditions(barely_fitted: MaskedSynthesizer, given: dict[str, object]) -> None:
    rows = barely_fitted.sample(500, given=given, seed=1)
    assert kept(rows)
    for name, wanted in given.items():
        allowed = wanted if isinstance(wanted, list) else [wanted]
        assert rows[name].between(*wanted).all() if isinstance(wanted, tuple) else rows[name].isin(allowed).all()


def test_functions_fill_gaps(barely_fitted: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    for draw in (False, True):
        filled = barely_fitted.impute(frame.assign(country=None, code=None), seed=1, draw=draw)
        assert kept(filled)
        assert filled["city"].tolist() == frame["city"].tolist()


def test_what_two_values_follow_is_no_function(frame: pd.DataFrame) -> None:
    tokens = np.stack([pd.factorize(frame[name])[0] for name in ("city", "country", "other")], axis=1).astype(np.int32)
    sizes = [5, 3, 3]
    found = discover(tokens, sizes, [[], [], []])
    assert [(f.determinant, f.dependent) for f in found] == [(0, 1), (1, 0)]
    # Only the country with one city decides it.
    (decided,) = np.flatnonzero(found[1].table >= 0)
    assert len(np.unique(tokens[tokens[:, 1] == decided, 0])) == 1
    tokens[10, 1] = (tokens[10, 1] + 1) % 3
    # Other values of many rows still decide it; the value with two different ones does not.
    of_city = [one for one in discover(tokens, sizes, [[], [], []]) if not one.determinant]
    assert all(one.table[tokens[10, 0]] == -1 for one in of_city)
    of_city = [one for one in discover(tokens[:300], sizes, [[], [], []]) if not one.determinant]
    assert all(one.table[tokens[10, 0]] == -1 for one in of_city)
    # A token of several pooled values may be followed by any token.
    pooled = int(tokens[10, 0])
    (function,) = [one for one in discover(tokens, sizes, [[pooled], [], []]) if not one.determinant]
    assert function.table[pooled] == -1


def test_what_is_held_stays_and_its_cause_gives_way() -> None:
    tokens = np.array([[0, 1], [1, 0], [2, 1]] * 30, dtype=np.int32)
    (function,) = discover(tokens, [3, 2], [[], []])
    assert (function.determinant, function.dependent, function.table.tolist()) == (0, 1, [1, 0, 1])
    drawn = np.array([[1, 1]] * 400, dtype=np.int32)
    held = np.tile([False, True], (400, 1))
    rng = np.random.default_rng(0)
    shares = [np.array([3.0, 5.0, 1.0]), np.ones(2)]
    moved = repair(drawn, held, [function], shares, rng)
    assert (moved[:, 1] == 1).all()
    assert set(moved[:, 0]) == {0, 2}
    assert (moved[:, 0] == 0).mean() == pytest.approx(0.75, abs=0.08)  # four standard errors
    assert (repair(drawn, ~held, [function], shares, rng)[:, 1] == 0).all()


def test_a_repair_that_contradicts_another_changes_the_determinant() -> None:
    # lines: without a phone there are no lines and no fibre; the films say so as well where there is no internet
    lines, internet, films = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 2], [2, 0, 0], [2, 1, 2]] * 60, np.int32).T
    tokens = np.stack([lines, internet, films], axis=1)
    functions = discover(tokens, [3, 2, 3], [[], [], []])
    drawn = np.array([[0, 1, 2]] * 200, np.int32)
    shares = [np.ones(3), np.ones(2), np.ones(3)]
    repaired = repair(drawn, np.zeros(drawn.shape, bool), functions, shares, np.random.default_rng(0))
    assert hold(repaired, functions).all()


def test_a_decided_category_may_be_missing(frame: pd.DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    gaps = frame.assign(country=frame["country"].mask(rng.random(900) < 0.2))
    model = MaskedSynthesizer(epochs=1).fit(gaps, seed=0, progress=False)
    model.save(tmp_path / "model.tabsynth")
    rows = tabsynth.load(tmp_path / "model.tabsynth").sample(700, seed=1)
    known = rows["country"].notna()
    assert 0.1 < 1 - known.mean() < 0.3
    assert (rows["country"] == rows["city"].map(COUNTRY))[known].all()


def test_gaps_make_no_dependency_of_independent_columns() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        tokens = np.stack([rng.integers(0, 6, 400), rng.integers(0, 4, 400)], 1).astype(np.int32)
        tokens[rng.random(400) < 0.9, 1] = 4  # MISSING
        assert not discover(tokens, [7, 5], [[], []], [None, 4])

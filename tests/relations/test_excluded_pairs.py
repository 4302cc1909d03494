"""Categories that never occur together in the training rows never do in the synthetic ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.relations.categories.excluded_pairs import ExcludedPairs, discover_excluded_pairs
from tabsynth.relations.categories.token_rules import hold, repair
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create

VISITS = {
    "ambulatory": ["check-up", "prenatal", "symptom", "problem"],
    "wellness": ["check-up", "examination"],
    "emergency": ["problem", "accident", "symptom"],
}


def visits(n: int, seed: int) -> pd.DataFrame:
    """Each class of visit has its own descriptions, some of which belong to several classes."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(list(VISITS), n, p=[0.5, 0.3, 0.2])
    description = np.array([rng.choice(VISITS[one]) for one in kind])
    return pd.DataFrame(
        {"description": description, "age": rng.integers(0, 90, n), "class": kind, "payer": rng.choice(["a", "b"], n)}
    )


def kept(rows: pd.DataFrame) -> bool:
    return all(own in VISITS[kind] for kind, own in zip(rows["class"], rows["description"], strict=True))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return visits(900, 0)


@pytest.fixture(scope="module")
def barely_fitted(frame: pd.DataFrame) -> MaskedSynthesizer:
    """A model that has learned little."""
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


@pytest.mark.parametrize("kind", ["masked", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("vae", "gan"))])
def test_pairs_never_occur_however_little_was_learned(
    frame: pd.DataFrame, barely_fitted: MaskedSynthesizer, kind: str, tmp_path: Path
) -> None:
    fitted = barely_fitted if kind == "masked" else create(kind, epochs=1).fit(frame, seed=0, progress=False)
    fitted.save(tmp_path / "model.tabsynth")
    rows = tabsynth.load(tmp_path / "model.tabsynth").sample(2000, seed=1)
    assert kept(rows)
    assert set(rows["description"]) == set(frame["description"])
    assert any("exclude each other" in str(rule) for rule in fitted.card()["vocabulary"]["rules"])


@pytest.mark.parametrize("given", [{"class": "emergency"}, {"description": ["check-up", "accident"]}])
def test_pairs_never_occur_under_conditions(barely_fitted: MaskedSynthesizer, given: dict[str, object]) -> None:
    rows = barely_fitted.sample(500, given=given, seed=1)
    assert kept(rows)
    for name, wanted in given.items():
        assert rows[name].isin(wanted if isinstance(wanted, list) else [wanted]).all()


def test_pairs_never_occur_in_filled_rows(barely_fitted: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    filled = barely_fitted.impute(frame.assign(description=None), seed=1, draw=True)
    assert kept(filled)
    assert filled["class"].tolist() == frame["class"].tolist()


def pairs_of(*columns: np.ndarray, persons: np.ndarray | None = None) -> list[ExcludedPairs]:
    tokens = np.stack(columns, axis=1).astype(np.int32)
    sizes = [int(column.max()) + 1 for column in columns]
    return list(discover_excluded_pairs(tokens, sizes, [[]] * len(sizes), [0] * len(sizes), persons))


def test_one_row_with_a_pair_allows_it() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 4, 800)
    other = np.where(one == 0, rng.integers(0, 2, 800), rng.integers(0, 4, 800))
    (found,) = pairs_of(one, other)
    assert np.argwhere(found.pairs).tolist() == [[0, 2], [0, 3]]
    other[np.flatnonzero(one == 0)[5]] = 3
    (found,) = pairs_of(one, other)
    assert np.argwhere(found.pairs).tolist() == [[0, 2]]


def test_rare_and_correlated_values_exclude_nothing() -> None:
    """Ordered categories whose distant values seldom occur together; the seeds are fixed."""
    rng = np.random.default_rng(0)
    violated = 0.0
    for _ in range(40):
        level = rng.normal(size=21_000)
        one, other = (np.digitize(level + rng.normal(size=21_000), np.linspace(-2.5, 2.5, 7)) for _ in range(2))
        for found in pairs_of(one[:1000], other[:1000]):
            violated += float(found.violated(np.stack([one, other], axis=1)).mean())
    assert violated / 40 < 2e-4


def test_rows_of_one_person_are_no_evidence() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(40), 50)
    site, ward = rng.integers(0, 4, 40)[person], rng.integers(0, 8, 40)[person]
    assert pairs_of(site, ward)
    assert not pairs_of(site, ward, persons=person)


def test_a_repair_satisfies_all_rules() -> None:
    rng = np.random.default_rng(0)
    rules = [ExcludedPairs(0, 1, np.eye(4, dtype=bool)), ExcludedPairs(1, 2, np.eye(4, dtype=bool))]
    drawn = np.zeros((400, 3), np.int32)
    held = np.tile([True, False, False], (400, 1))
    repaired = repair(drawn, held, rules, [np.ones(4), np.array([1.0, 1.0, 2.0, 1.0]), np.ones(4)], rng)
    assert hold(repaired, rules).all()
    assert (repaired[:, 0] == 0).all()
    assert (repaired[:, 1] == 2).mean() == pytest.approx(0.5, abs=0.1)  # four standard errors

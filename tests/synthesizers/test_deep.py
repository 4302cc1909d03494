"""Shared behaviour of the deep models: dependencies, seeds, conditions and model files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import ks_2samp

from tabsynth.synthesizers.registry import create, load
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

KINDS = ["masked", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vae", "gan"))]

CONDITIONS: list[dict[str, Any]] = [
    {"sex": "f", "age": (60, 80)},
    {"age": (60, None), "height": (170.05, 180.0)},
    {"city": ["Oslo", "Bern"]},
    {"income": None},
    {"retired": True, "country": "Norway"},
    {"blood": "h", "country": "Norway"},
    {"age": (64, 64)},
    {"height": (None, 160)},
]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> TokenSynthesizer:
    fitted: TokenSynthesizer = request.getfixturevalue(request.param)
    return fitted


@pytest.fixture(scope="module")
def drawn(model: TokenSynthesizer) -> pd.DataFrame:
    return model.sample(2600, seed=1)


def test_dependencies_are_learned(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    height, real = (rows.groupby("sex")["height"].mean() for rows in (drawn, frame))
    assert abs((height["m"] - height["f"]) - (real["m"] - real["f"])) < 1.5
    smokers = (drawn["smokes"] == "yes").groupby(drawn["sex"]).mean()
    assert 0.13 < smokers["m"] - smokers["f"] < 0.27  # four standard errors of 0.2


def test_marginals_are_met(model: TokenSynthesizer, frame: pd.DataFrame) -> None:
    """Over four times as many rows: of as many as the frame has, one sample in fifty is off by more by chance."""
    drawn = model.sample(4 * len(frame), seed=1)
    for name in ("sex", "city", "country", "smokes"):
        shares, expected = drawn[name].value_counts(normalize=True), frame[name].value_counts(normalize=True)
        assert (shares.reindex(expected.index) - expected).abs().max() < 0.01
    for name in ("age", "income"):
        assert ks_2samp(drawn[name].dropna(), frame[name].dropna(), method="asymp").statistic < 0.025
    assert abs(drawn["income"].isna().mean() - frame["income"].isna().mean()) < 0.02


def test_rare_values_are_as_frequent_as_they_were(model: TokenSynthesizer, frame: pd.DataFrame) -> None:
    """No mode is dropped: in ten times as many rows, the noise of the rarest value's count is six percent."""
    shares = model.sample(26_000, seed=4)["blood"].value_counts(normalize=True)
    expected = frame["blood"].value_counts(normalize=True)
    assert (shares.reindex(expected.index) / expected - 1).abs().max() < 0.2


def test_independent_rows_are_about_right(model: TokenSynthesizer, frame: pd.DataFrame) -> None:
    rows = model.sample(2600, seed=1, calibrate=False, stratify=False)
    assert abs((rows["sex"] == "f").mean() - (frame["sex"] == "f").mean()) < 0.06
    assert ks_2samp(rows["age"], frame["age"], method="asymp").statistic < 0.08


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_model_and_the_same_rows(frame: pd.DataFrame, kind: str) -> None:
    one, other = (create(kind, epochs=2).fit(frame.head(300), seed=7) for _ in range(2))
    for name, weights in one.net_.state_dict().items():
        assert (weights == other.net_.state_dict()[name]).all(), name
    pd.testing.assert_frame_equal(one.sample(50, seed=3), other.sample(50, seed=3))
    assert not one.sample(50, seed=3).equals(one.sample(50, seed=4))


@pytest.mark.parametrize("given", CONDITIONS, ids=str)
def test_every_row_meets_its_conditions(model: TokenSynthesizer, given: dict[str, Any]) -> None:
    rows = model.sample(150, given=given, seed=2)
    assert len(rows) == 150
    for name, wanted in given.items():
        if isinstance(wanted, tuple):
            low, high = wanted
            assert low is None or (rows[name] >= low).all()
            assert high is None or (rows[name] <= high).all()
        elif isinstance(wanted, list):
            assert set(rows[name]) == set(wanted)
        elif wanted is None:
            assert rows[name].isna().all()
        else:
            assert (rows[name] == wanted).all()


def test_conditions_change_what_depends_on_them(model: TokenSynthesizer) -> None:
    rows = model.sample(600, given={"age": (60, 69)}, seed=5)
    assert 0.35 < rows["retired"].mean() < 0.65  # half of the ages 60 to 69 are 65 or more
    women = model.sample(600, given={"sex": "f"}, seed=5)
    assert abs(women["height"].mean() - 165) < 1.5
    assert abs((women["smokes"] == "yes").mean() - 0.2) < 0.07  # four standard errors


def test_a_frame_of_conditions_is_met_row_by_row(model: TokenSynthesizer, frame: pd.DataFrame) -> None:
    given = frame.loc[:99, ["sex", "city", "income"]].copy()
    given.loc[::2, "sex"] = None
    given.loc[10:19] = None  # nothing is fixed in these rows
    rows = model.sample(given=given, seed=0)
    for name in given:
        known = given[name].notna()
        assert (rows[name][known].astype(object) == given[name][known].astype(object)).all()
    assert list(rows.columns) == list(frame.columns)


def test_a_saved_model_meets_conditions_bit_for_bit_the_same(model: TokenSynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "m.tabsynth")
    read = load(tmp_path / "m.tabsynth")
    given = {"city": "Oslo", "age": (20, 30)}
    pd.testing.assert_frame_equal(read.sample(40, given=given, seed=1), model.sample(40, given=given, seed=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [["sex"], ["age", "fixed"], ["fixed"]], ids=str)
def test_tiny_tables(frame: pd.DataFrame, kind: str, names: list[str]) -> None:
    few = frame.head(100).assign(fixed="x")[names]
    rows = create(kind, epochs=1).fit(few, seed=0).sample(30, seed=0)
    assert list(rows.columns) == names
    assert rows.notna().all().all()

"""The GAN: it learns dependencies and rare values, keeps its seed, meets conditions, resumes and comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from tabsynth.errors import InputError, ModelFileError
from tabsynth.schema import Schema
from tabsynth.synthesizers.catalog import load
from tabsynth.synthesizers.gan import GANSynthesizer
from tabsynth.training.progress import Progress


def people(rows: int = 2400, seed: int = 0) -> pd.DataFrame:
    """A table with known dependencies: age -> retired, city -> country, height ~ sex; some blood types are rare."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows)
    age = rng.integers(18, 90, rows)
    city = rng.choice(["Bern", "Basel", "Oslo"], rows, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "sex": sex,
            "age": age,
            "retired": age >= 65,
            "height": np.round(rng.normal(np.where(sex == "m", 178, 165), 6), 1),
            "city": pd.Categorical(city),
            "country": np.where(city == "Oslo", "Norway", "Switzerland"),
            "blood": rng.choice(["0", "A", "B", "AB", "h"], rows, p=[0.41, 0.43, 0.11, 0.04, 0.01]),
            "income": np.where(rng.random(rows) < 0.2, np.nan, np.round(rng.lognormal(8, 0.5, rows))),
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return people()


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> GANSynthesizer:
    return GANSynthesizer(epochs=30).fit(frame, seed=0)


@pytest.fixture(scope="module")
def drawn(model: GANSynthesizer) -> pd.DataFrame:
    return model.sample(2400, seed=1)


def test_dependencies_are_learned(drawn: pd.DataFrame) -> None:
    assert (drawn["retired"] == (drawn["age"] >= 65)).mean() > 0.9
    assert ((drawn["city"] == "Oslo") == (drawn["country"] == "Norway")).mean() > 0.97
    gap = drawn.groupby("sex")["height"].mean()
    assert abs((gap["m"] - gap["f"]) - 13) < 3


def test_marginals_are_met(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    for name in ("sex", "city", "country"):
        shares, expected = drawn[name].value_counts(normalize=True), frame[name].value_counts(normalize=True)
        assert (shares.reindex(expected.index) - expected).abs().max() < 0.012
    for name in ("age", "income"):
        assert ks_2samp(drawn[name].dropna(), frame[name].dropna(), method="asymp").statistic < 0.025
    assert abs(drawn["income"].isna().mean() - 0.2) < 0.02


def test_rare_values_are_as_frequent_as_they_were(model: GANSynthesizer, frame: pd.DataFrame) -> None:
    """No mode is dropped: in ten times as many rows, the noise of the rarest value's count is six percent."""
    shares = model.sample(26_000, seed=4)["blood"].value_counts(normalize=True)
    expected = frame["blood"].value_counts(normalize=True)
    assert (shares.reindex(expected.index) / expected - 1).abs().max() < 0.2


def test_rows_alone_are_about_right(model: GANSynthesizer, frame: pd.DataFrame) -> None:
    rows = model.sample(2400, seed=1, calibrate=False, stratify=False)
    assert abs((rows["sex"] == "f").mean() - (frame["sex"] == "f").mean()) < 0.06
    assert ks_2samp(rows["age"], frame["age"], method="asymp").statistic < 0.08


def test_no_row_is_drawn_twice(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    """About 1,300 values of height and income together leave few rows that are alike by chance."""
    assert drawn.duplicated().mean() <= frame.duplicated().mean() + 0.01


def test_a_seed_gives_the_same_model_and_the_same_rows(model: GANSynthesizer, frame: pd.DataFrame) -> None:
    one, other = (GANSynthesizer(epochs=2).fit(frame.head(300), seed=7) for _ in range(2))
    for part in ("net_", "critic_"):
        for name, weights in getattr(one, part).state_dict().items():
            assert (weights == getattr(other, part).state_dict()[name]).all(), name
    pd.testing.assert_frame_equal(one.sample(50, seed=3), other.sample(50, seed=3))
    given = {"sex": "f", "age": (30, 40)}
    pd.testing.assert_frame_equal(model.sample(50, given=given, seed=3), model.sample(50, given=given, seed=3))
    assert not model.sample(50, seed=3).equals(model.sample(50, seed=4))


@pytest.mark.parametrize(
    "given",
    [
        {"sex": "f", "age": (60, 80)},
        {"age": (60, None), "height": (170.05, 180.0)},
        {"city": ["Oslo", "Bern"]},
        {"income": None},
        {"blood": "h", "country": "Norway"},
        {"age": (64, 64)},
    ],
    ids=str,
)
def test_every_row_meets_its_conditions(model: GANSynthesizer, given: dict[str, object]) -> None:
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


def test_conditions_change_what_depends_on_them(model: GANSynthesizer) -> None:
    rows = model.sample(600, given={"age": (60, 69)}, seed=5)
    assert 0.35 < rows["retired"].mean() < 0.65  # half of the ages 60 to 69 are 65 or more
    women = model.sample(600, given={"sex": "f"}, seed=5)
    assert abs(women["height"].mean() - 165) < 1.5
    norwegians = model.sample(400, given={"country": "Norway"}, seed=5)
    assert (norwegians["city"] == "Oslo").mean() > 0.85  # 0.2 of all rows


def test_a_frame_of_conditions_is_met_row_by_row(model: GANSynthesizer, frame: pd.DataFrame) -> None:
    given = frame.loc[:99, ["sex", "city", "income"]].copy()
    given.loc[::2, "sex"] = None
    given.loc[10:19] = None  # nothing is fixed in these rows
    rows = model.sample(given=given, seed=0)
    for name in given:
        known = given[name].notna()
        assert (rows.loc[known, name].astype(object) == given.loc[known, name].astype(object)).all()


def test_constraints_hold(frame: pd.DataFrame) -> None:
    table = frame.head(400).assign(late=lambda x: x["age"] + 5)[["age", "late", "sex"]]
    columns = {"age": {"kind": "numeric"}, "late": {"kind": "numeric"}, "sex": {"kind": "categorical"}}
    constraint = {"kind": "inequality", "low": "age", "high": "late"}
    schema = Schema.from_dict({"columns": columns, "constraints": [constraint]})
    rows = GANSynthesizer(epochs=2).fit(table, schema=schema, seed=0).sample(200, seed=0)
    assert (rows["age"] <= rows["late"]).all()


class BreakError(Exception):
    """The fit is broken off."""


@pytest.fixture(scope="module")
def whole(frame: pd.DataFrame) -> tuple[GANSynthesizer, list[Progress]]:
    every: list[Progress] = []
    return GANSynthesizer(epochs=4).fit(frame.head(300), seed=5, callbacks=(every.append,)), every


@pytest.mark.parametrize("legs", [1, 3, 5], ids=["warm", "critic", "generator"])
def test_a_fit_that_broke_off_resumes_and_ends_the_same(
    tmp_path: Path, frame: pd.DataFrame, whole: tuple[GANSynthesizer, list[Progress]], legs: int
) -> None:
    seen: list[Progress] = []

    def broken(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > legs:
            raise BreakError

    few, checkpoint = frame.head(300), tmp_path / "fit.checkpoint"
    with pytest.raises(BreakError):
        GANSynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(broken,))
    with pytest.raises(ModelFileError, match="another fit"):
        GANSynthesizer(epochs=4).fit(few, seed=6, checkpoint=checkpoint)
    rest: list[Progress] = []
    resumed = GANSynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(rest.append,))
    model, every = whole
    assert len(rest) == len(every) - legs
    assert not list(tmp_path.iterdir())
    for part in ("net_", "critic_"):
        for name, weights in getattr(model, part).state_dict().items():
            assert (weights == getattr(resumed, part).state_dict()[name]).all(), name


def test_a_saved_model_meets_conditions_bit_for_bit_the_same(model: GANSynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "m.tabsynth")
    read = load(tmp_path / "m.tabsynth")
    given = {"city": "Oslo", "age": (20, 30)}
    pd.testing.assert_frame_equal(read.sample(40, given=given, seed=1), model.sample(40, given=given, seed=1))


@pytest.mark.parametrize("names", [["sex"], ["age", "fixed"], ["fixed"]], ids=str)
def test_tiny_tables(frame: pd.DataFrame, names: list[str]) -> None:
    few = frame.head(100).assign(fixed="x")[names]
    rows = GANSynthesizer(epochs=1).fit(few, seed=0).sample(30, seed=0)
    assert list(rows.columns) == names
    assert rows.notna().all().all()


def test_weighted_rows_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="weighted rows"):
        GANSynthesizer(epochs=1).fit(frame.head(50), weights=np.ones(50), seed=0)

"""The VAE: it learns dependencies, keeps its seed, meets conditions, resumes and comes back from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp

from tabsynth.errors import ModelFileError
from tabsynth.synthesizers.catalog import load
from tabsynth.synthesizers.vae import VAESynthesizer
from tabsynth.training.made import Made
from tabsynth.training.progress import Progress


def people(rows: int = 2600, seed: int = 0) -> pd.DataFrame:
    """A table with known dependencies: age -> retired, city -> country, height ~ sex, some incomes missing."""
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
            "income": np.where(rng.random(rows) < 0.2, np.nan, np.round(rng.lognormal(8, 0.5, rows))),
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return people()


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> VAESynthesizer:
    return VAESynthesizer(epochs=22).fit(frame, seed=0)


@pytest.fixture(scope="module")
def drawn(model: VAESynthesizer) -> pd.DataFrame:
    return model.sample(2600, seed=1)


def test_dependencies_are_learned(drawn: pd.DataFrame) -> None:
    assert (drawn["retired"] == (drawn["age"] >= 65)).mean() > 0.95
    assert ((drawn["city"] == "Oslo") == (drawn["country"] == "Norway")).mean() > 0.97
    gap = drawn.groupby("sex")["height"].mean()
    assert abs((gap["m"] - gap["f"]) - 13) < 1.5


def test_marginals_are_met(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    for name in ("sex", "city", "country"):
        shares, expected = drawn[name].value_counts(normalize=True), frame[name].value_counts(normalize=True)
        assert (shares.reindex(expected.index) - expected).abs().max() < 0.01
    for name in ("age", "income"):
        assert ks_2samp(drawn[name].dropna(), frame[name].dropna(), method="asymp").statistic < 0.02
    assert abs(drawn["income"].isna().mean() - 0.2) < 0.02


def test_without_calibration_rows_are_about_right(model: VAESynthesizer, frame: pd.DataFrame) -> None:
    rows = model.sample(2600, seed=1, calibrate=False, stratify=False)
    assert abs((rows["sex"] == "f").mean() - (frame["sex"] == "f").mean()) < 0.06
    assert ks_2samp(rows["age"], frame["age"], method="asymp").statistic < 0.08


def test_a_seed_gives_the_same_model_and_the_same_rows(model: VAESynthesizer, frame: pd.DataFrame) -> None:
    one, other = (VAESynthesizer(epochs=2).fit(frame.head(300), seed=7) for _ in range(2))
    for name, weights in one.net_.state_dict().items():
        assert (weights == other.net_.state_dict()[name]).all(), name
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
        {"retired": True, "country": "Norway"},
        {"age": (64, 64)},
    ],
    ids=str,
)
def test_every_row_meets_its_conditions(model: VAESynthesizer, given: dict[str, object]) -> None:
    rows = model.sample(300, given=given, seed=2)
    assert len(rows) == 300
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


def test_conditions_change_what_depends_on_them(model: VAESynthesizer) -> None:
    rows = model.sample(1000, given={"age": (60, 69)}, seed=5)
    assert 0.35 < rows["retired"].mean() < 0.65  # half of the ages 60 to 69 are 65 or more
    women = model.sample(1000, given={"sex": "f"}, seed=5)
    assert abs(women["height"].mean() - 165) < 1.5
    norwegians = model.sample(500, given={"country": "Norway"}, seed=5)
    assert (norwegians["city"] == "Oslo").mean() > 0.85  # 0.2 of all rows


def test_several_limits_weigh_each_other(model: VAESynthesizer) -> None:
    """Retired rows among those of 50 to 79 years must be 65 to 79, however the columns are visited."""
    rows = model.sample(1000, given={"age": (50, 79), "retired": [True]}, seed=6)
    assert (rows["age"] >= 65).mean() > 0.9


def test_a_frame_of_conditions_is_met_row_by_row(model: VAESynthesizer, frame: pd.DataFrame) -> None:
    given = frame.loc[:199, ["sex", "city", "income"]].copy()
    given.loc[::2, "sex"] = None
    given.loc[10:19] = None  # nothing is fixed in these rows
    rows = model.sample(given=given, seed=0)
    for name in given:
        known = given[name].notna()
        assert (rows.loc[known, name].astype(object) == given.loc[known, name].astype(object)).all()
    assert list(rows.columns) == list(frame.columns)


def test_a_fit_that_broke_off_resumes_and_ends_the_same(tmp_path: Path, frame: pd.DataFrame) -> None:
    class BreakError(Exception):
        """The fit is broken off."""

    def broken(progress: Progress) -> None:
        if progress.step > progress.steps // 2:
            raise BreakError

    few, checkpoint = frame.head(600), tmp_path / "fit.checkpoint"
    with pytest.raises(BreakError):
        VAESynthesizer(epochs=4).fit(few, seed=5, checkpoint=checkpoint, callbacks=(broken,))
    with pytest.raises(ModelFileError, match="another fit"):
        VAESynthesizer(epochs=4).fit(few, seed=6, checkpoint=checkpoint)
    steps: list[int] = []
    resumed = VAESynthesizer(epochs=4).fit(
        few, seed=5, checkpoint=checkpoint, callbacks=(lambda progress: steps.append(progress.step),)
    )
    whole = VAESynthesizer(epochs=4).fit(few, seed=5)
    assert len(steps) < 4
    assert not checkpoint.exists()
    for name, weights in whole.net_.state_dict().items():
        assert (weights == resumed.net_.state_dict()[name]).all(), name


def test_a_saved_model_meets_conditions_bit_for_bit_the_same(model: VAESynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "m.tabsynth")
    read = load(tmp_path / "m.tabsynth")
    given = {"city": "Oslo", "age": (20, 30)}
    pd.testing.assert_frame_equal(read.sample(40, given=given, seed=1), model.sample(40, given=given, seed=1))


@pytest.mark.parametrize("names", [["sex"], ["age", "fixed"], ["fixed"]], ids=str)
def test_tiny_tables(frame: pd.DataFrame, names: list[str]) -> None:
    few = frame.head(100).assign(fixed="x")[names]
    rows = VAESynthesizer(epochs=1).fit(few, seed=0).sample(30, seed=0)
    assert list(rows.columns) == names
    assert rows.notna().all().all()


def test_what_the_prior_draws_has_the_density_it_says() -> None:
    """A random network: the density integrates to one, and draws fall where it says; with a context too."""
    generator = torch.Generator().manual_seed(0)
    made = Made(2, context=3, hidden=8, layers=2, components=3, generator=generator)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    line = torch.linspace(-12, 12, 401)
    grid = torch.cartesian_prod(line, line)
    for context in (None, torch.randn(1, 3, generator=generator)):
        with torch.no_grad():
            spread = None if context is None else context.expand(len(grid), -1)
            density = made.log_prob(grid, spread).exp().view(401, 401) * (line[1] - line[0]) ** 2
            given = None if context is None else context.expand(20_000, -1)
            drawn = made.draw(20_000, lambda means: torch.rand(len(means), generator=generator), given)
        assert abs(float(density.sum()) - 1) < 0.02
        for axis in (0, 1):
            expected = density.sum(1 - axis).cumsum(0)
            found = torch.searchsorted(drawn[:, axis].sort().values.contiguous(), line) / 20_000
            assert float((found - expected).abs().max()) < 0.03

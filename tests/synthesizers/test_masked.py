"""The masked model: it learns dependencies, keeps its seed, meets conditions, fills gaps and survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, ks_2samp

from tabsynth.errors import ConditionError, InputError, ModelFileError, NotFittedError
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training.progress import Progress


def people(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """A table with known dependencies: region -> city, age -> retired, height ~ sex, some incomes missing."""
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
def model(frame: pd.DataFrame) -> MaskedSynthesizer:
    return MaskedSynthesizer().fit(frame, seed=0)


@pytest.fixture(scope="module")
def drawn(model: MaskedSynthesizer) -> pd.DataFrame:
    return model.sample(3000, seed=1)


def test_dependencies_are_learned(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert (drawn["retired"] == (drawn["age"] >= 65)).mean() > 0.97
    assert ((drawn["city"] == "Oslo") == (drawn["country"] == "Norway")).mean() > 0.99
    gap = drawn.groupby("sex")["height"].mean()
    assert abs((gap["m"] - gap["f"]) - 13) < 1.5


def test_marginals_are_met(drawn: pd.DataFrame, frame: pd.DataFrame) -> None:
    for name in ("sex", "city", "country"):
        shares, expected = drawn[name].value_counts(normalize=True), frame[name].value_counts(normalize=True)
        assert (shares.reindex(expected.index) - expected).abs().max() < 0.01
    for name in ("age", "income"):
        assert ks_2samp(drawn[name].dropna(), frame[name].dropna(), method="asymp").statistic < 0.02
    assert abs(drawn["income"].isna().mean() - 0.2) < 0.02


def test_a_seed_gives_the_same_model_and_the_same_rows(model: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    one, other = (MaskedSynthesizer(epochs=2).fit(frame, seed=7) for _ in range(2))
    for name, weights in one.net_.state_dict().items():
        assert (weights == other.net_.state_dict()[name]).all(), name
    pd.testing.assert_frame_equal(one.sample(50, seed=3), other.sample(50, seed=3))
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
        {"height": (None, 160)},
    ],
    ids=str,
)
def test_every_row_meets_its_conditions(model: MaskedSynthesizer, given: dict[str, object]) -> None:
    rows = model.sample(400, given=given, seed=2)
    assert len(rows) == 400
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


def test_conditions_change_what_depends_on_them(model: MaskedSynthesizer) -> None:
    rows = model.sample(2000, given={"age": (60, 69)}, seed=5)
    assert 0.35 < rows["retired"].mean() < 0.65  # half of the ages 60 to 69 are 65 or more
    women = model.sample(2000, given={"sex": "f"}, seed=5)
    assert abs(women["height"].mean() - 165) < 1.5


def test_several_ranges_weigh_each_other(model: MaskedSynthesizer) -> None:
    """Retired rows among those of 50 to 79 years must be 65 to 79, however the columns are visited."""
    rows = model.sample(1000, given={"age": (50, 79), "retired": [True]}, seed=6)
    assert (rows["age"] >= 65).mean() > 0.95
    assert ks_2samp(rows["age"], np.arange(65, 80).repeat(100), method="asymp").statistic < 0.15


def test_a_frame_of_conditions_is_met_row_by_row(model: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    given = frame.loc[:199, ["sex", "city", "income"]].copy()
    given.loc[::2, "sex"] = None
    rows = model.sample(given=given, seed=0)
    known = given["sex"].notna()
    assert (rows.loc[known, "sex"] == given.loc[known, "sex"]).all()
    assert (rows["city"].astype(str) == given["city"].astype(str)).all()
    here = given["income"].notna()
    assert (rows.loc[here, "income"] == given.loc[here, "income"]).all()
    assert list(rows.columns) == list(frame.columns)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"salary": 1}, "salary"),
        ({"sex": "x"}, "'x'"),
        ({"age": (200, 300)}, "no value in the range"),
        ({"age": (40, 30)}, "low end is above"),
        ({"sex": ("f", "m")}, "a range is"),
        ({"age": ("a", None)}, "not a number"),
        ({"age": [1, 2]}, "give a range"),
        ({"city": ["Rome"]}, "knows none"),
        ({"sex": None}, "never missing"),
        ("f", "mapping or a frame"),
    ],
    ids=str,
)
def test_conditions_that_cannot_be_met_are_named(model: MaskedSynthesizer, given: object, said: str) -> None:
    with pytest.raises(ConditionError, match=said):
        model.sample(10, given=given)  # type: ignore[arg-type]


def test_independent_draws_have_the_right_marginals(model: MaskedSynthesizer) -> None:
    """Samples of 10 rows drawn one by one, as a bootstrap would: each sex as often as in one long sample."""
    draws = [model.sample(10, seed=i, calibrate=False, stratify=False)["sex"] for i in range(150)]
    women = sum((draw == "f").sum() for draw in draws)
    long = (model.sample(20_000, seed=0, calibrate=False, stratify=False)["sex"] == "f").mean()
    assert chisquare([women, 1500 - women], [1500 * long, 1500 * (1 - long)]).pvalue > 1e-3  # false alarms: 1 in 1,000


def test_gaps_are_filled_better_than_by_the_commonest_value(model: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    fresh = people(500, seed=9)
    gappy = fresh.copy()
    gappy["country"] = None
    gappy["retired"] = pd.Series([None] * 500, dtype="boolean")
    gappy.loc[::2, "height"] = np.nan
    filled = model.impute(gappy)
    assert (filled["country"] == fresh["country"]).mean() > 0.99
    assert (filled["retired"] == fresh["retired"]).mean() > 0.95
    error = (filled["height"] - fresh["height"])[::2]
    assert np.sqrt((error**2).mean()) < 0.85 * fresh["height"].std()
    assert (filled.loc[1::2, "height"] == fresh.loc[1::2, "height"]).all()
    assert not filled["income"].isna().any()
    spread = model.impute(gappy, draw=True, seed=0)["height"][::2].std()
    assert spread > filled["height"][::2].std()


def test_likelihood_prefers_real_rows_to_shuffled_ones(model: MaskedSynthesizer) -> None:
    fresh = people(500, seed=10)
    shuffled = fresh.assign(country=fresh["country"].sample(frac=1, random_state=0).to_numpy())
    assert model.log_prob(fresh).mean() > model.log_prob(shuffled).mean() + 0.5
    assert (model.log_prob(fresh[["sex"]]) < 0).all()
    with pytest.raises(InputError, match="'salary'"):
        model.log_prob(fresh.assign(salary=1))


def test_embeddings_are_features(model: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    features = model.embed(frame.head(10))
    assert features.shape[0] == 10
    assert np.isfinite(features).all()


def test_constraints_hold_in_every_row() -> None:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 50, 600)
    frame = pd.DataFrame({"start": start, "stop": start + rng.integers(0, 50, 600)})
    schema = Schema.from_dict(
        {
            "columns": {"start": {"kind": "numeric", "decimals": 0}, "stop": {"kind": "numeric", "decimals": 0}},
            "constraints": [{"kind": "inequality", "low": "start", "high": "stop"}],
        }
    )
    rows = MaskedSynthesizer(epochs=3).fit(frame, schema=schema, seed=0).sample(500, seed=0)
    assert (rows["start"] <= rows["stop"]).all()
    assert len(rows) == 500


def test_constraints_between_dates_in_text_hold_in_every_row() -> None:
    """Day first, so that the alphabet and the calendar disagree."""
    rng = np.random.default_rng(0)
    begin = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 400), "D")
    end = begin + pd.to_timedelta(rng.integers(0, 40, 400), "D")
    frame = pd.DataFrame({"begin": begin.strftime("%d/%m/%Y"), "end": end.strftime("%d/%m/%Y")})
    date = {"kind": "datetime", "format": "%d/%m/%Y", "resolution": "D"}
    constraint = {"kind": "inequality", "low": "begin", "high": "end"}
    schema = Schema.from_dict({"columns": {"begin": date, "end": date}, "constraints": [constraint]})
    rows = MaskedSynthesizer(epochs=5).fit(frame, schema=schema, seed=0).sample(300, seed=0)
    parsed = rows.apply(pd.to_datetime, format="%d/%m/%Y")
    assert (parsed["begin"] <= parsed["end"]).all()


def test_a_column_of_thousands_of_codes_keeps_to_its_codes() -> None:
    """Its two digits are drawn one after the other; no pair of them may stand for a code that never was."""
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3000, 9000)
    frame = pd.DataFrame({"code": [f"c{i:04d}" for i in code], "high": code >= 1500})
    schema = Schema.infer(frame).replace("code", kind="categorical")
    model = MaskedSynthesizer(epochs=3, min_group=1).fit(frame, schema=schema, seed=0)
    rows = model.sample(3000, seed=0)
    assert set(rows["code"]) <= set(frame["code"])
    some = ["c0001", "c2999", "c1234"]
    assert set(model.sample(100, given={"code": some}, seed=0)["code"]) <= set(some)
    gaps = frame.head(50).assign(code=None)
    assert set(model.impute(gaps)["code"]) <= set(frame["code"])


def test_chunks_join_to_one_table_with_unique_identifiers(frame: pd.DataFrame) -> None:
    keyed = frame.head(600).assign(key=[f"K{i:06d}" for i in range(600)])
    schema = Schema.infer(keyed).replace("key", kind="identifier")
    model = MaskedSynthesizer(epochs=1).fit(keyed, schema=schema, seed=0)
    chunks = list(model.sample_chunks(1000, chunk=300, seed=1))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert pd.concat(chunks)["key"].is_unique
    again = list(model.sample_chunks(1000, chunk=300, seed=1))
    assert all(one.equals(other) for one, other in zip(chunks, again, strict=True))


def test_callbacks_hear_of_every_leg(frame: pd.DataFrame) -> None:
    heard: list[Progress] = []
    MaskedSynthesizer(epochs=3).fit(frame, seed=0, callbacks=(heard.append,))
    assert heard[-1].step == heard[-1].steps
    assert all(one.step < other.step for one, other in pairwise(heard))
    assert all(np.isfinite([progress.loss, progress.validation or 0.0]).all() for progress in heard)


FIT = """
import sys; sys.path.insert(0, {tests!r})
from test_masked import people
from tabsynth.synthesizers.masked import MaskedSynthesizer
MaskedSynthesizer(epochs=8, device="cpu").fit(people(), seed=5, checkpoint={checkpoint!r})
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is for POSIX systems")
def test_a_killed_fit_resumes_and_ends_the_same(tmp_path: Path, frame: pd.DataFrame) -> None:
    checkpoint = tmp_path / "fit.checkpoint"
    code = FIT.format(tests=str(Path(__file__).parent), checkpoint=str(checkpoint))
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the fit ended before it could be killed"
    with pytest.raises(ModelFileError, match="another fit"):
        MaskedSynthesizer(epochs=8).fit(frame, seed=6, checkpoint=checkpoint)
    steps: list[int] = []
    resumed = MaskedSynthesizer(epochs=8).fit(
        frame, seed=5, checkpoint=checkpoint, callbacks=(lambda progress: steps.append(progress.step),)
    )
    whole = MaskedSynthesizer(epochs=8).fit(frame, seed=5)
    assert min(steps) > min(steps[-1] / 8, steps[0] - 1)
    assert not checkpoint.exists()
    for name, weights in whole.net_.state_dict().items():
        assert (weights == resumed.net_.state_dict()[name]).all(), name


def test_what_cannot_be_done_is_said(frame: pd.DataFrame) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        MaskedSynthesizer().sample(1)
    with pytest.raises(InputError, match="'nowhere'"):
        MaskedSynthesizer(device="nowhere", epochs=1).fit(frame)
    with pytest.raises(InputError, match="epochs"):
        MaskedSynthesizer(epochs=0).fit(frame)
    with pytest.raises(InputError, match="min_group"):
        MaskedSynthesizer(min_group=0).fit(frame)
    with pytest.raises(InputError, match="seed"):
        MaskedSynthesizer(epochs=1).fit(frame, seed=-1)

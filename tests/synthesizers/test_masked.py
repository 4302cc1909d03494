"""MaskedSynthesizer: missing values, likelihoods, embeddings, constraints, wide columns, chunks and checkpoints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare, ks_2samp

from tabsynth.common.progress import Progress
from tabsynth.errors import ConditionError, InputError, ModelFileError, NotFittedError
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import load

Persons = Callable[..., pd.DataFrame]


def test_several_ranges_weigh_each_other(masked: MaskedSynthesizer) -> None:
    """Retired rows among those of 50 to 79 years must be 65 to 79, however the columns are visited."""
    rows = masked.sample(1000, given={"age": (50, 79), "retired": [True]}, seed=6)
    assert (rows["age"] >= 65).mean() > 0.95
    assert ks_2samp(rows["age"], np.arange(65, 80).repeat(100), method="asymp").statistic < 0.15


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
        ({"city": ["Rome"]}, "'Rome'.*it knows"),
        ({"sex": " F "}, "did you mean 'f'"),
        ({"sex": None}, "never missing"),
        ("f", "mapping or a frame"),
    ],
    ids=str,
)
def test_conditions_that_cannot_be_met_are_named(masked: MaskedSynthesizer, given: object, said: str) -> None:
    with pytest.raises(ConditionError, match=said):
        masked.sample(10, given=given)  # type: ignore[arg-type]


def test_independent_draws_have_the_right_marginals(masked: MaskedSynthesizer) -> None:
    """Samples of 20 rows drawn one by one, as a bootstrap would: each sex as often as in one long sample."""
    draws = [masked.sample(20, seed=i, calibrate=False, stratify=False)["sex"] for i in range(75)]
    women = sum((draw == "f").sum() for draw in draws)
    long = (masked.sample(20_000, seed=0, calibrate=False, stratify=False)["sex"] == "f").mean()
    assert chisquare([women, 1500 - women], [1500 * long, 1500 * (1 - long)]).pvalue > 1e-3  # false alarms: 1 in 1,000


def test_gaps_are_filled_better_than_by_the_commonest_value(masked: MaskedSynthesizer, persons: Persons) -> None:
    fresh = persons(500, seed=9)
    gappy = fresh.copy()
    gappy["country"] = None
    gappy["retired"] = pd.Series([None] * 500, dtype="boolean")
    gappy.loc[::2, "height"] = np.nan
    filled = masked.impute(gappy)
    assert (filled["country"] == fresh["country"]).mean() > 0.99
    assert (filled["retired"] == fresh["retired"]).mean() > 0.95
    error = (filled["height"] - fresh["height"])[::2]
    assert np.sqrt((error**2).mean()) < 0.85 * fresh["height"].std()
    assert (filled.loc[1::2, "height"] == fresh.loc[1::2, "height"]).all()
    assert not filled["income"].isna().any()
    spread = masked.impute(gappy, draw=True, seed=0)["height"][::2].std()
    assert spread > filled["height"][::2].std()


def test_likelihood_prefers_real_rows_to_shuffled_ones(masked: MaskedSynthesizer, persons: Persons) -> None:
    fresh = persons(500, seed=10)
    shuffled = fresh.assign(country=fresh["country"].sample(frac=1, random_state=0).to_numpy())
    assert masked.log_prob(fresh).mean() > masked.log_prob(shuffled).mean() + 0.5
    assert (masked.log_prob(fresh[["sex"]]) < 0).all()
    with pytest.raises(InputError, match="'salary'"):
        masked.log_prob(fresh.assign(salary=1))


def test_embeddings_are_features(masked: MaskedSynthesizer, frame: pd.DataFrame) -> None:
    features = masked.embed(frame.head(10))
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


@pytest.mark.filterwarnings("ignore:column 'code'")
@pytest.mark.parametrize("codes", [2, 480])
def test_rare_values_do_not_turn_into_gaps(codes: int) -> None:
    """Values of too few persons may not be drawn: made-up values take their place, not cells that are empty."""
    rng, rows = np.random.default_rng(0), 8_000
    often, rare = rng.integers(0, codes, rows), 10_000 + rng.integers(0, 4_000, rows)
    code = np.where(rng.random(rows) < 0.5, rare, often).astype(object)
    empty = rng.random(rows) < 0.2
    frame = pd.DataFrame({"code": np.where(empty, None, "c" + code.astype(str).astype(object)), "empty": empty})
    schema = Schema.infer(frame).replace("code", kind="categorical")
    model = MaskedSynthesizer(epochs=3).fit(frame, schema=schema, seed=0)
    assert model.card()["vocabulary"]["pooled_share"]["code"] > 0.35
    for calibrate in (True, False):
        drawn = model.sample(4000, seed=1, calibrate=calibrate)
        assert drawn["code"].isna().mean() == pytest.approx(0.2, abs=0.03)
        assert (drawn["code"].isna() == drawn["empty"]).mean() > 0.99
        shares = drawn["code"].dropna().value_counts(normalize=True)
        assert shares.max() < 1.6 / codes + 0.01


def test_chunks_join_to_one_table_with_unique_identifiers(frame: pd.DataFrame) -> None:
    keyed = frame.head(600).assign(key=[f"K{i:06d}" for i in range(600)])
    schema = Schema.infer(keyed).replace("key", kind="identifier")
    model = MaskedSynthesizer(epochs=1).fit(keyed, schema=schema, seed=0)
    chunks = list(model.sample_chunks(1000, chunk=300, seed=1))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert pd.concat(chunks)["key"].is_unique
    again = list(model.sample_chunks(1000, chunk=300, seed=1))
    assert all(one.equals(other) for one, other in zip(chunks, again, strict=True))


def test_the_card_states_the_epochs_of_the_fit(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = MaskedSynthesizer(epochs=2).fit(frame.head(200), seed=0)
    assert model.card()["sizing"]["epochs"] == 2
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").card()["sizing"]["epochs"] == 2


def test_callbacks_hear_of_every_leg(frame: pd.DataFrame) -> None:
    heard: list[Progress] = []
    MaskedSynthesizer(epochs=3).fit(frame, seed=0, callbacks=(heard.append,))
    assert heard[-1].step == heard[-1].steps
    assert all(one.step < other.step for one, other in pairwise(heard))
    assert all(np.isfinite([progress.loss, progress.validation or 0.0]).all() for progress in heard)


FIT = """
import pandas as pd
from tabsynth.synthesizers.masked import MaskedSynthesizer
MaskedSynthesizer(epochs=8, device="cpu").fit(pd.read_parquet({table!r}), seed=5, checkpoint={checkpoint!r})
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is for POSIX systems")
def test_a_killed_fit_resumes_and_ends_the_same(tmp_path: Path, frame: pd.DataFrame) -> None:
    checkpoint = tmp_path / "fit.checkpoint"
    frame = frame.head(1200)
    frame.to_parquet(tmp_path / "people.parquet")
    code = FIT.format(table=str(tmp_path / "people.parquet"), checkpoint=str(checkpoint))
    # As many threads as here: on some processors sums over parts of rows end otherwise with another number.
    threads = str(torch.get_num_threads())
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": threads})
    deadline = time.monotonic() + 900
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


def test_the_score_is_the_mean_log_likelihood() -> None:
    frame = pd.DataFrame({"x": ["a", "b"] * 100, "y": ["c", "d"] * 100})
    model = MaskedSynthesizer(epochs=2).fit(frame, seed=0)
    assert model.score(frame) == pytest.approx(model.log_prob(frame).mean())
    assert model.score(frame) > model.score(frame.assign(y=frame["y"].to_numpy()[::-1]))


def test_rows_with_more_decimals_than_the_model_releases_are_filled() -> None:
    """Decimals of fewer than ``min_group`` persons are not learned, but they may occur in rows to fill."""
    frame = pd.DataFrame({"x": np.arange(200) % 40 / 10, "c": ["a", "b"] * 100})
    frame.loc[0, "x"] = 0.12345
    gaps = frame.assign(c=None)
    model = MaskedSynthesizer(epochs=1).fit(frame, seed=0)
    filled = model.impute(gaps, seed=0)
    assert filled["c"].notna().all()
    assert filled.loc[0, "x"] == 0.12345
    given = frame[["x"]].clip(lower=0.1)
    assert model.sample(200, given=given, seed=0)["x"].tolist() == given["x"].tolist()
    with pytest.raises(ConditionError, match=r"0\.12345, but the column has 1 decimals; round it to 0\.1"):
        model.sample(2, given={"x": 0.12345}, seed=0)

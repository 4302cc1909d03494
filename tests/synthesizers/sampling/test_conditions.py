"""Conditions hold exactly in the column's type and format, or are refused before sampling."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.errors import ConditionError
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.training.trees.discriminator import TreeDiscriminator


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = 500
    minutes = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 60 * 24 * 60, rows), unit="min")
    day = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 60, rows), unit="D"))
    tokyo = pd.Series(minutes).dt.tz_localize("Asia/Tokyo")
    return pd.DataFrame(
        {
            "country": rng.choice(["SE", "NO", "DK"], rows),
            "k": rng.integers(0, 101, rows),
            "price": np.round(rng.uniform(0, 50, rows), 1),
            "t": tokyo,
            "objects": tokyo.astype(object),
            "when": minutes,
            "day": day,
            "born": day.dt.strftime("%d/%m/%Y"),
            "stamp": pd.Series(minutes).dt.strftime("%Y-%m-%dT%H:%M:00+09:00"),
            "id": [f"K{i:05d}" for i in range(rows)],
            "note": [f"the patient came in on day {i} and was seen at once" for i in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> MarginalSynthesizer:
    return MarginalSynthesizer().fit(frame, seed=0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"country": ["SE", "ZZ"]}, "'ZZ'.*'SE'"),
        ({"country": "ZZ"}, "'ZZ'.*'SE'"),
        (pd.DataFrame({"country": ["SE", "ZZ"]}), "'ZZ'.*'SE'"),
        ({"country": False}, "False.*quote"),
        ({"country": [{}]}, "give a value"),
        ({"country": []}, "empty list"),
        ({"country": ["SE", None]}, "never missing"),
        ({"k": 10**400}, r"not a number$"),
        ({"k": complex(50, 2)}, r"not a number$"),
        ({"k": ("a", 5)}, "'a', not a number"),
        ({"born": "31/02/2020"}, "not a date.*ISO 8601$"),
        ({"id": "K00001"}, "not learned"),
        ({"NOTE": "seen"}, "unknown columns: 'NOTE' .did you mean 'note'.."),
        ({"id": ["K00001"]}, "not learned"),
        ({"note": "seen"}, "not learned"),
        ({"k": (10.5, 10.9)}, "empty.*decimals"),
        ({"k": 5.5}, "5.5.*whole numbers"),
        ({"price": 5.55}, "5.55.*1 decimals"),
        ({"k": 5000}, "5000.*from 0 to 100"),
        ({"k": (1000, 2000)}, "from 0 to 100"),
        ({"k": math.inf}, "infinite"),
        ({"k": "many"}, "'many', not a number"),
        ({"k": True}, "true or false.*numbers"),
        (pd.DataFrame([["SE", "NO"]], columns=["country", "country"]), "several columns of the name 'country'"),
        ({"day": ("2020-01-05 10:00", "2020-01-05 11:00")}, "empty"),
        ({"born": pd.Timestamp("2020-01-05 10:00")}, "cannot hold"),
        ({"day": pd.Timestamp("2020-01-05 10:00")}, "10:00:00.*unit of time is 'D'"),
        ({"when": "2031-01-05"}, "2031.*from 2020"),
        ({"when": pd.Timestamp("2020-01-05", tz="UTC")}, "no time zone"),
        ({"when": "soon"}, "not a date"),
        ({"when": 1.5}, "not a date"),
    ],
    ids=str,
)
def test_a_condition_that_cannot_hold_exactly_is_refused(model: MarginalSynthesizer, given: Any, says: str) -> None:
    with pytest.raises(ConditionError, match=says):
        model.sample(None if isinstance(given, pd.DataFrame) else 10, given=given, seed=0)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("k", 10.5, 12.4),
        ("k", -math.inf, 3),
        ("k", 98, math.inf),
        ("price", 10.04, 10.31),
        ("day", pd.Timestamp("2020-01-05 10:00"), pd.Timestamp("2020-01-06 10:00")),
        ("when", pd.Timestamp("2020-01-05 10:00"), pd.Timestamp("2020-01-05 23:00")),
        ("t", pd.Timestamp("2020-01-05 10:00", tz="Asia/Tokyo"), pd.Timestamp("2020-01-05 23:00", tz="Asia/Tokyo")),
    ],
)
def test_ranges_hold_exactly(model: MarginalSynthesizer, frame: pd.DataFrame, name: str, low: Any, high: Any) -> None:
    drawn = model.sample(200, given={name: (low, high)}, seed=0)[name]
    assert drawn.between(low, high).all()
    assert drawn.dtype == frame[name].dtype


NOON = pd.Timestamp("2020-01-05 12:00")


@pytest.mark.parametrize("name", ["t", "objects"])
@pytest.mark.parametrize(
    "given",
    ["2020-01-05 12:00", "2020-01-05T12:00", NOON, NOON.to_pydatetime(), NOON.tz_localize("Asia/Tokyo"),
     "2020-01-05T03:00Z", NOON.to_datetime64()],
    ids=str,
)  # fmt: skip
def test_times_are_read_in_the_zone_of_their_column(model: MarginalSynthesizer, name: str, given: Any) -> None:
    single = model.sample(20, given={name: given}, seed=0)[name]
    ranged = model.sample(20, given={name: (given, given)}, seed=0)[name]
    assert (single == NOON.tz_localize("Asia/Tokyo")).all()
    assert (ranged == NOON.tz_localize("Asia/Tokyo")).all()
    assert str(single.iloc[0].tz) == str(ranged.iloc[0].tz) == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("name", "given", "comes"),
    [
        ("born", "05/01/2020", "05/01/2020"),
        ("born", "2020-01-05", "05/01/2020"),
        ("born", datetime.date(2020, 1, 5), "05/01/2020"),
        ("born", pd.Timestamp("2020-01-05"), "05/01/2020"),
        ("stamp", "2020-01-05T12:00:00+09:00", "2020-01-05T12:00:00+09:00"),
        ("stamp", "2020-01-05 12:00", "2020-01-05T12:00:00+09:00"),
        ("stamp", "2020-01-05T03:00Z", "2020-01-05T12:00:00+09:00"),
        ("k", 5.0, 5),
        ("k", "5", 5),
        ("price", 0.1 + 0.2, 0.3),
    ],
)
def test_values_come_back_in_the_form_of_their_column(
    model: MarginalSynthesizer, frame: pd.DataFrame, name: str, given: Any, comes: Any
) -> None:
    for rows in (
        model.sample(20, given={name: given}, seed=0),
        model.sample(given=pd.DataFrame({name: pd.Series([given] * 20, dtype=object)}), seed=0),
    ):
        assert rows[name].tolist() == [comes] * 20
        assert rows[name].dtype == frame[name].dtype


def test_objects_with_a_zone_keep_it(model: MarginalSynthesizer) -> None:
    assert {str(value.tz) for value in model.sample(50, seed=0)["objects"]} == {"Asia/Tokyo"}


def test_a_model_with_a_discriminator_follows_conditions() -> None:
    """Calibration to the training marginals must not undo a condition of a large sample."""
    rng = np.random.default_rng(0)
    group = rng.choice(list("abc"), 2000)
    frame = pd.DataFrame({"group": group, "y": rng.normal(size=2000) + 3 * (group == "b")})
    model = MaskedSynthesizer(epochs=4).fit(frame, seed=0)
    real = torch.from_numpy(model.codec_.encode(frame)[:, model.active_].astype(np.int64))
    model.trees_ = TreeDiscriminator.fit(model.layout_, real, real.flip(0), seed=0)
    sample = model.sample(1500, given={"group": "b"}, seed=1)
    assert abs(sample["y"].mean() - 3) < 0.5


def test_selected_rows_are_in_random_order() -> None:
    """Means of eighths of a sample differ by chance alone (largest of eight: 4 standard errors, 1 in 2,000)."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"group": rng.choice(list("abcdefgh"), 2000), "y": rng.normal(size=2000)})
    model = MaskedSynthesizer(epochs=2).fit(frame, seed=0)
    real = torch.from_numpy(model.codec_.encode(frame)[:, model.active_].astype(np.int64))
    model.trees_ = TreeDiscriminator.fit(model.layout_, real, real.flip(0), seed=0)
    first = (model.sample(8000, seed=1)["group"] == "a").to_numpy().reshape(8, 1000).mean(axis=1)
    assert np.abs(first - first.mean()).max() < 4 * np.sqrt(first.mean() * (1 - first.mean()) / 1000)


@pytest.fixture(scope="module")
def vienna() -> MarginalSynthesizer:
    moments = pd.date_range("2021-03-27", periods=120, freq="h", tz="Europe/Vienna")
    amounts = [f"CHF {1000 + 7 * row:,}.00".replace(",", "'") for row in range(120)]
    return MarginalSynthesizer().fit(pd.DataFrame({"t": moments, "amount": amounts}), seed=0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("2021-03-28 02:30", "does not exist"),
        (("2021-03-28 02:30", None), "does not exist"),
        ("2021-10-31 02:30", "occurs twice"),
    ],
)
def test_local_times_at_a_change_of_the_clock_are_refused(vienna: MarginalSynthesizer, given: Any, says: str) -> None:
    with pytest.raises(ConditionError, match=says):
        vienna.sample(3, given={"t": given}, seed=0)


def test_ranges_may_be_written_in_the_form_of_the_column(vienna: MarginalSynthesizer) -> None:
    drawn = vienna.sample(20, given={"amount": ("CHF 1'100.00", "CHF 1'200.00")}, seed=0)["amount"]
    assert all("CHF 1'100.00" <= value <= "CHF 1'200.00" for value in drawn)
    with pytest.raises(ConditionError, match="text of the form"):
        vienna.sample(3, given={"amount": "CHF 1100"}, seed=0)

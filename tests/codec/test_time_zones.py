"""Time zones of any library and in any dtype: named in a model file, and read the same in conditions."""

from __future__ import annotations

import datetime
import zoneinfo
from pathlib import Path

import dateutil.tz
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytz

import tabsynth as ts
from tabsynth.errors import DataError
from tabsynth.schema.cell_types import zone_name

RNG = np.random.default_rng(0)
ROWS = 120
HOURS = pd.Series(pd.Timestamp("2020-01-06") + pd.to_timedelta(RNG.integers(0, 24 * 40, ROWS), unit="h"))
ZONES = {
    "Europe/Paris": pytz.timezone("Europe/Paris"),
    "Africa/Cairo": zoneinfo.ZoneInfo("Africa/Cairo"),
    "dateutil/Europe/Paris": dateutil.tz.gettz("Europe/Paris"),
    "UTC": dateutil.tz.UTC,
    "UTC+01:30": dateutil.tz.tzoffset("odd", 5400),
    "UTC+05:30": pytz.FixedOffset(330),
    "UTC-03:00": datetime.timezone(datetime.timedelta(hours=-3)),
    "UTC+02:00": datetime.timezone(datetime.timedelta(hours=2), "CEST"),
}


def forms(zone: datetime.tzinfo) -> dict[str, pd.Series]:
    """Return the same moments in every dtype that holds a time zone."""
    moments = HOURS.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return {
        "zone": moments,
        "seconds": moments.dt.as_unit("s"),
        "Python": pd.Series([moment.to_pydatetime() for moment in moments], dtype=object),
        "stamps": pd.Series(list(moments), dtype=object),
    }


@pytest.mark.parametrize("name", ZONES)
def test_moments_of_every_zone_are_sampled_saved_and_given(name: str, tmp_path: Path) -> None:
    zone = ZONES[name]
    assert zone_name(zone) == name
    frame = pd.DataFrame(forms(zone))
    model = ts.MarginalSynthesizer(components=2, min_group=1).fit(frame, seed=0)
    model.save(tmp_path / "m.tabsynth")
    moment = frame["zone"][0]
    given = dict.fromkeys(frame, str(moment.tz_localize(None)))
    sampled = ts.load(tmp_path / "m.tabsynth").sample(5, given=given, seed=1)
    for column in frame:
        assert [type(value) for value in sampled[column]] == [type(frame[column][0])] * 5
        assert all(value == moment and value.utcoffset() == moment.utcoffset() for value in sampled[column])


@pytest.mark.parametrize("name", ["Asia/Kolkata", "America/New_York", "+05:30"])
def test_conditions_on_arrow_timestamps_are_read_in_their_zone(name: str) -> None:
    kind = pd.ArrowDtype(pa.timestamp("us", name))
    frame = pd.DataFrame({"t": HOURS.dt.tz_localize("UTC").astype(kind)})
    model = ts.MarginalSynthesizer(components=2, min_group=1).fit(frame, seed=0)
    moment = frame["t"][0]
    local = str(moment.tz_localize(None))
    for wanted in (moment, moment.tz_convert("Asia/Tokyo"), local, (local, local), (moment, moment)):
        sampled = model.sample(3, given={"t": wanted}, seed=1)["t"]
        assert sampled.dtype == kind
        assert set(sampled) == {moment}


def test_days_as_python_datetimes_of_a_zone_have_no_times_of_day() -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 600, 200), unit="D")
    frame = pd.DataFrame({"t": pd.Series(list(days.tz_localize("Europe/Paris").to_pydatetime()), dtype=object)})
    sampled = ts.MarginalSynthesizer(components=2).fit(frame, seed=0).sample(300, seed=1)["t"]
    assert {str(value.time()) for value in sampled} == {"00:00:00"}


def test_a_category_of_moments_of_any_zone_is_saved(tmp_path: Path) -> None:
    moments = HOURS.dt.normalize().dt.tz_localize(ZONES["dateutil/Europe/Paris"])
    frame = pd.DataFrame({"t": moments.iloc[np.arange(ROWS) % 4].reset_index(drop=True).astype("category")})
    model = ts.MarginalSynthesizer(components=2).fit(frame, seed=0)
    model.save(tmp_path / "m.tabsynth")
    pd.testing.assert_frame_equal(ts.load(tmp_path / "m.tabsynth").sample(9, seed=1), model.sample(9, seed=1))


@pytest.mark.parametrize("form", ["zone", "Python", "category"])
def test_offsets_with_seconds_are_refused_by_name(form: str) -> None:
    made = forms(datetime.timezone(datetime.timedelta(hours=2, seconds=7)))
    values = made["zone"].astype("category") if form == "category" else made[form]
    with pytest.raises(DataError, match=r"column 't': the time zone UTC\+02:00:07 is neither"):
        ts.MarginalSynthesizer(components=2).fit(pd.DataFrame({"t": values}))


def test_few_appointments_at_one_hour_stay_at_this_hour() -> None:
    days = pd.Timestamp("2020-01-01 08:00") + pd.to_timedelta(RNG.integers(0, 900, 60), unit="D")
    sampled = ts.MarginalSynthesizer(components=2).fit(pd.DataFrame({"t": days}), seed=0).sample(500, seed=1)["t"]
    assert (sampled.dt.hour == 8).mean() > 0.85

"""Days of a time zone: all at local midnight in, all at local midnight out, also across changes of the clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.codec.column_values import numeric_values, to_datetimes
from tabsynth.codec.pandas_dtypes import datetime_series
from tabsynth.data import Table
from tabsynth.schema import Schema
from tabsynth.schema.columns import Datetime
from tabsynth.schema.datetime_formats import days_in_zone
from tabsynth.synthesizers.masked import MaskedSynthesizer

ZONES = ("Asia/Kolkata", "Europe/Vienna", "America/New_York", "America/Havana", "UTC")
DAYS = pd.Series(pd.date_range("2019-01-01", "2020-12-31", freq="D").to_numpy())


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_comes_back(zone: str) -> None:
    days = days_in_zone(DAYS, zone)
    column = Schema.infer(pd.DataFrame({"day": days}))["day"]
    assert isinstance(column, Datetime)
    assert column.resolution == "D"
    numbers = numeric_values(column, days)
    assert (np.diff(numbers) == 1).all()
    back = datetime_series(to_datetimes(column, numbers), str(days.dtype), column)
    pd.testing.assert_series_equal(back, days)


def test_midnights_of_utc_in_another_zone_are_hours() -> None:
    days = DAYS.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    column = Schema.infer(pd.DataFrame({"day": days}))["day"]
    assert isinstance(column, Datetime)
    assert column.resolution == "h"
    back = datetime_series(to_datetimes(column, numeric_values(column, days)), str(days.dtype), column)
    pd.testing.assert_series_equal(back, days)


def test_fits_keep_midnights_of_utc_and_hide_rare_times_of_local_days() -> None:
    utc = DAYS[:300].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    local = days_in_zone(DAYS[:300], "Europe/Vienna").copy()
    local.iloc[:2] += pd.Timedelta(8 * 60 + 13, "min")  # fewer rows than min_group
    codec = Codec.measure(Table.of(pd.DataFrame({"utc": utc, "local": local})))
    assert [getattr(codec.schema[name], "resolution", None) for name in ("utc", "local")] == ["h", "D"]
    back = codec.decode(codec.encode(pd.DataFrame({"utc": utc, "local": local})), np.random.default_rng(0))
    assert set(back["utc"].dt.strftime("%H:%M")) == {"09:00"}
    assert set(back["local"].dt.strftime("%H:%M")) == {"00:00"}


def test_sampled_and_given_days_are_local_midnights() -> None:
    rng = np.random.default_rng(0)
    days = days_in_zone(DAYS, "Europe/Vienna").iloc[rng.integers(0, len(DAYS), 200)].reset_index(drop=True)
    frame = pd.DataFrame({"day": days, "arrow": days.astype("timestamp[ns, tz=Europe/Vienna][pyarrow]")})
    model = MaskedSynthesizer(epochs=1).fit(frame, seed=0)
    sampled = model.sample(100, seed=1)
    for name in frame:
        assert set(sampled[name].dt.strftime("%H:%M")) == {"00:00"}
    summer, winter = pd.Timestamp("2020-07-02", tz="Europe/Vienna"), pd.Timestamp("2020-01-02", tz="Europe/Vienna")
    for moment in (summer, winter):
        given = model.sample(3, given={"day": str(moment.date()), "arrow": (moment, moment)}, seed=1)
        assert set(given["day"]) == {moment}
        assert set(given["arrow"]) == {moment}

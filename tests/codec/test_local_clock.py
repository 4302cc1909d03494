"""Datetimes of a zone with summer time keep their local time of day, and rules stay exact in instants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.codec.numbers.local_clock import LocalClock, clock_from_state, local_clock
from tabsynth.data import Table
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.registry import load

NANOSECONDS = 10**9


def appointments(zone: str | None, rows: int = 2000) -> pd.DataFrame:
    """Two fifths at 8:00, the others between 9:00 and 17:00, on the days of three years."""
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 1095, rows), "D")
    minute = np.where(rng.random(rows) < 0.4, 480, 5 * rng.integers(108, 204, rows))
    start = pd.DatetimeIndex(day + pd.to_timedelta(minute, "min")).tz_localize(zone)
    end = start + pd.to_timedelta(rng.choice([15, 30, 60], rows), "min")
    return pd.DataFrame({"start": start, "end": end})


def at_eight(times: pd.Series) -> float:
    local = times.dt.tz_localize(None)
    return float((local == local.dt.normalize() + pd.Timedelta(hours=8)).mean())


def outside(times: pd.Series) -> float:
    return float((~times.dt.tz_localize(None).dt.hour.between(8, 16)).mean())


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "+05:30"])
def test_times_of_day_are_those_of_the_zone(zone: str) -> None:
    frame = appointments(zone)
    model = MarginalSynthesizer(components=4).fit(frame, seed=0, progress=False)
    drawn = model.sample(2000, seed=1)
    assert drawn["start"].dtype == frame["start"].dtype
    assert at_eight(drawn["start"]) == pytest.approx(at_eight(frame["start"]), abs=0.04)
    assert outside(drawn["start"]) < 0.04
    minutes = (drawn["end"] - drawn["start"]).dt.total_seconds() / 60
    assert minutes.isin([15, 30, 60]).mean() > 0.9


def test_named_zones_are_learned_as_naive_times_are() -> None:
    naive, zoned = (Codec.measure(Table.of(appointments(zone, 300))) for zone in (None, "Europe/Berlin"))
    rng = [np.random.default_rng(0) for _ in range(2)]
    frames = (appointments(zone, 300) for zone in (None, "Europe/Berlin"))
    first, second = (
        codec.decode(codec.encode(f), own) for codec, f, own in zip((naive, zoned), frames, rng, strict=True)
    )
    assert (first["start"] == second["start"].dt.tz_localize(None)).mean() > 0.98


@pytest.mark.parametrize("zone", ["UTC", "+05:30", "-03:00"])
def test_offsets_that_never_change_have_no_clock(zone: str) -> None:
    assert Codec.measure(Table.of(appointments(zone, 300))).numeric_coders["start"].clock is None


def test_hours_of_utc_are_learned_in_utc_where_they_are_no_local_hours() -> None:
    frame = pd.DataFrame({"t": pd.Series(pd.date_range("2020-01-01", periods=900, freq="7h", tz="UTC"))})
    drawn = {}
    for zone in ("UTC", "Asia/Kolkata"):
        model = MarginalSynthesizer(components=2).fit(frame.assign(t=frame["t"].dt.tz_convert(zone)), seed=0)
        drawn[zone] = model.sample(200, seed=1)["t"].dt.tz_convert("UTC")
    assert (drawn["UTC"] == drawn["Asia/Kolkata"]).all()


@pytest.mark.parametrize(("change", "hours"), [("2023-03-25 20:00", 12), ("2023-10-28 20:00", 12)])
def test_differences_across_a_change_of_the_clock_are_exact(change: str, hours: int) -> None:
    rng = np.random.default_rng(0)
    first = pd.Timestamp(change, tz="Europe/Berlin").tz_convert("UTC")
    start = pd.Series(first + pd.to_timedelta(rng.integers(0, 60, 600), "min")).dt.tz_convert("Europe/Berlin")
    frame = pd.DataFrame({"start": start, "end": start + pd.Timedelta(hours=hours)})
    drawn = MarginalSynthesizer(components=4).fit(frame, seed=0, progress=False).sample(500, seed=1)
    assert (drawn["end"] - drawn["start"] == pd.Timedelta(hours=hours)).all()
    assert drawn["start"].between(start.min(), start.max()).all()


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_times_that_occur_twice_are_as_often_the_first(share: float) -> None:
    """Nights of two months, in one of which the hour from 2:00 to 3:00 occurs twice."""
    rng = np.random.default_rng(0)
    change = pd.Timestamp("2023-10-29 00:00", tz="UTC")  # 2:00 in Berlin, for the first time
    seconds = np.where(rng.random(20000) < share, rng.integers(0, 3600, 20000), rng.integers(3600, 7200, 20000))
    seconds[1000:] = 86400 * rng.integers(-30, 30, 19000) + rng.integers(10800, 14400, 19000)
    frame = pd.DataFrame({"at": (change + pd.to_timedelta(pd.Series(seconds), "s")).dt.tz_convert("Europe/Berlin")})
    codec = Codec.measure(Table.of(frame))
    drawn = codec.decode(codec.encode(frame), rng)["at"]
    clock = codec.numeric_coders["at"].clock
    assert clock is not None
    assert clock.first_share == pytest.approx(share, abs=0.05)
    twice = drawn[drawn.between(change, change + pd.Timedelta("1h59min59s"))]
    assert len(twice) == pytest.approx(1000, abs=60)
    assert (twice < change + pd.Timedelta(hours=1)).mean() == pytest.approx(share, abs=0.1)


def test_times_that_do_not_exist_move_forward() -> None:
    clock = LocalClock("Europe/Berlin", NANOSECONDS)
    local = pd.Timestamp("2023-03-26 02:30").timestamp()
    assert clock.to_utc(np.array([local, np.nan]))[0] == pd.Timestamp("2023-03-26 01:00", tz="UTC").timestamp()
    for far in (np.nan, np.inf, -np.inf, 9.2233e9, -9.2233e9):  # the last two are the ends of nanoseconds
        assert clock.to_local(np.array([far]))[0] == pytest.approx(far, abs=7200, nan_ok=True)


def test_conditions_on_instants_hold() -> None:
    frame = appointments("Europe/Berlin", 600)
    model = MarginalSynthesizer(components=4).fit(frame, seed=0, progress=False)
    low, high = (pd.Timestamp(f"2022-{day} 00:00", tz="Europe/Berlin") for day in ("10-29", "11-01"))
    assert model.sample(200, seed=1, given={"start": (low, high)})["start"].between(low, high).all()
    assert (model.sample(200, seed=1, given={"start": (high, None)})["start"] >= high).all()
    one = pd.Timestamp("2022-10-30 02:30:00+01:00").tz_convert("Europe/Berlin")
    assert (model.sample(5, seed=1, given={"start": one})["start"] == one).all()


def test_a_saved_model_keeps_the_clock(tmp_path: Path) -> None:
    model = MarginalSynthesizer(components=4).fit(appointments("Europe/Berlin", 300), seed=0, progress=False)
    file = tmp_path / "model.tabsynth"
    model.save(file)
    pd.testing.assert_frame_equal(load(file).sample(50, seed=1), model.sample(50, seed=1))


@pytest.mark.parametrize("state", ["x", ["Nowhere/City", 1, 1.0], ["UTC", 0, 1.0], ["UTC", 1, 2.0], [1], {}, 5])
def test_a_clock_of_no_zone_is_refused(state: object) -> None:
    with pytest.raises(ValueError, match="datetime"):
        clock_from_state(state)
    assert clock_from_state(None) is None
    assert local_clock(None, "", 1) is None

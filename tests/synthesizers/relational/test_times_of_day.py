"""Times of day of sampled histories are those of the training rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.synthesizers.relational.occurrences.times_of_day import TimesOfDay
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

DAY = 1440.0
"""Minutes."""


def clinic(zone: str | None) -> dict[str, pd.DataFrame]:
    """Visits at full quarters from 9 to 17 o'clock, and 40 % of them at 8 o'clock, with tests in the hour after."""
    rng, persons = np.random.default_rng(0), 120
    owner = np.repeat(np.arange(persons), 1 + rng.poisson(5, persons))
    n = len(owner)
    minute = np.where(rng.random(n) < 0.4, 8 * 60, rng.integers(9 * 4, 17 * 4, n) * 15)
    start = pd.Series(pd.Timestamp("2021-01-01") + pd.to_timedelta(1440 * rng.integers(0, 800, n) + minute, unit="min"))
    start = start if zone is None else start.dt.tz_localize(zone)
    visit = np.repeat(np.arange(n), 2)
    later = start[visit].reset_index(drop=True) + pd.to_timedelta(10 * rng.integers(0, 5, 2 * n), unit="min")
    return {
        "person": pd.DataFrame({"id": range(persons), "sex": rng.choice(["f", "m"], persons)}),
        "visit": pd.DataFrame({"id": range(n), "person_id": owner, "start": start, "ward": rng.choice([*"abc"], n)}),
        "test": pd.DataFrame({"visit_id": visit, "at": later, "name": rng.choice(["x", "y"], 2 * n)}),
    }


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_visits_are_in_the_hours_of_the_training_rows(zone: str | None, tmp_path: Path) -> None:
    tables = clinic(zone)
    model = RelationalSynthesizer(epochs=1).fit(tables, seed=0)
    drawn = model.sample(200, seed=1)
    visits = drawn["visit"]
    minutes, real = (own.start.dt.hour * 60 + own.start.dt.minute for own in (visits, tables["visit"]))
    assert minutes.between(8 * 60, 17 * 60).all()
    assert abs((minutes == 480).mean() - (real == 480).mean()) < 0.1  # 5 standard errors
    assert (minutes % 15 == 0).all()
    assert (visits.start.dt.second == 0).all()
    gaps = visits.start.groupby(visits.person_id).diff().dropna()
    assert (gaps >= pd.Timedelta(0)).all()
    merged = drawn["test"].merge(visits, left_on="visit_id", right_on="id")
    assert (merged["at"] - merged.start).between(pd.Timedelta(0), pd.Timedelta(hours=1)).mean() > 0.95
    path = tmp_path / "m.tabsynth"
    model.save(path)
    assert RelationalSynthesizer.load(path).sample(200, seed=1)["visit"].equals(visits)


@pytest.fixture(scope="module")
def mapping() -> TimesOfDay:
    """Appointments at 8:00, 12:00 and 16:00, which are sampled at any time."""
    rng = np.random.default_rng(0)
    times = DAY * rng.integers(0, 300, 900) + rng.choice([480.0, 720.0, 960.0], 900)
    sampled = rng.random(5000) * 300 * DAY
    found = TimesOfDay.fit(times, np.arange(900), lambda: sampled, day=DAY, clock=None, min_group=5)
    assert found is not None
    return found


def test_days_order_and_distances_within_a_day_are_kept(mapping: TimesOfDay) -> None:
    times = np.array([100.0, 130.0, 100.0 + 7 * DAY, 1300.0 + 8 * DAY, 700.0 + 9 * DAY])
    parents, bounds = np.array([0, 0, 0, 0, 1]), (np.zeros(2), np.full(2, 10 * DAY))
    moved = mapping.restore(times, parents, bounds, np.random.default_rng(0))
    assert (moved // DAY).tolist() == (times // DAY).tolist()
    assert (moved % DAY).tolist() == [480, 510, 480, 960, 720]
    late = mapping.restore(times, parents, (np.full(2, 500.0), np.full(2, 8 * DAY + 900.0)), np.random.default_rng(0))
    assert late.min() == 500
    assert late.max() == 8 * DAY + 900


def test_no_mapping_where_the_hours_are_right_or_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    times = DAY * rng.integers(0, 300, 900) + rng.choice([480.0, 720.0, 960.0], 900)
    fit = {"roots": np.arange(900), "day": DAY, "clock": None, "min_group": 5}
    assert TimesOfDay.fit(times, sample=lambda: times[::-1] + 3 * DAY, **fit) is None
    never = pytest.fail  # nothing is sampled where all hours are as frequent
    assert TimesOfDay.fit(300 * DAY * rng.random(900), sample=never, **fit) is None  # type: ignore[arg-type]
    assert TimesOfDay.fit(np.floor(times / DAY) * DAY, sample=never, **fit) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [("day", -1.0), ("clock", ["Nowhere/Land", 1, 0.5]), ("sampled", np.array([3.0, 1.0])), ("sampled", np.zeros(0))],
)
def test_an_edited_state_is_refused(mapping: TimesOfDay, key: str, value: object) -> None:
    config, arrays = mapping.state()
    (arrays if key in arrays else config)[key] = value  # type: ignore[index]
    with pytest.raises(ValueError, match="time"):
        TimesOfDay.from_state(config, arrays)


def visits(counts: np.ndarray, minutes: np.ndarray) -> dict[str, pd.DataFrame]:
    """Visits of persons on any day, at the given minutes of the day."""
    owner = np.repeat(np.arange(len(counts)), counts)
    days = np.random.default_rng(1).integers(0, 900, len(owner))
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(1440 * days + minutes, unit="min")
    return {
        "person": pd.DataFrame({"id": np.arange(len(counts)), "sex": np.resize(["f", "m"], len(counts))}),
        "visit": pd.DataFrame({"id": np.arange(len(owner)), "person_id": owner, "start": start}),
    }


@pytest.mark.parametrize("most", [1, 4])
def test_first_and_last_visits_are_in_the_hours_of_the_training_rows(most: int) -> None:
    """The first and last times of training parents have the right hours, those of sampled parents do not."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, most + 1, 300)
    real = np.mod(22 * 60 + 15 * rng.integers(0, 32, counts.sum()), 1440)  # night shifts, from 22 to 6 o'clock
    start = RelationalSynthesizer(epochs=1).fit(visits(counts, real), seed=0).sample(300, seed=1)["visit"].start
    found = start.dt.hour * 60 + start.dt.minute
    assert (found < 6 * 60).mean() + (found >= 22 * 60).mean() > 0.97
    assert abs((found >= 22 * 60).mean() - (real >= 22 * 60).mean()) < 0.1
    assert abs(found.between(0, 179).mean() - (real < 180).mean()) < 0.12


def test_times_stay_whole_steps_apart() -> None:
    """Later visits of a day that would be after midnight are at the last step of the day."""
    rng = np.random.default_rng(0)
    real = 20 * 60 + 7 + 60 * rng.integers(0, 4, 900)
    tables = visits(np.full(150, 6), real)
    tables["visit"]["start"] = tables["visit"].start.where(
        tables["visit"].index % 3 != 2, tables["visit"].start.shift() + pd.Timedelta(hours=-3)
    )
    model = RelationalSynthesizer(epochs=1).fit(tables, seed=0)
    start = model.sample(300, seed=1)["visit"].start
    assert (start.dt.minute == 7).all()


def test_few_persons_with_a_second_visit() -> None:
    counts = np.where(np.arange(100) < 3, 2, 1)
    drawn = RelationalSynthesizer(epochs=1).fit(visits(counts, np.full(103, 510)), seed=0).sample(100, seed=1)["visit"]
    assert len(drawn) == 100
    assert (drawn.start.dt.strftime("%H:%M") == "08:30").all()

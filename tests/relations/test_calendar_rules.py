"""Calendar functions of a date hold in every synthetic row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth
from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.synthesizers.masked import MaskedSynthesizer


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Visits over two years, with the name of the weekday, the month, the quarter of the year and the weekend."""
    rng = np.random.default_rng(0)
    visit = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 730, 900), unit="D")
    return pd.DataFrame(
        {
            "visit": visit,
            "day": pd.Series(visit.day_name()).mask(rng.random(900) < 0.1),
            "month": visit.month,
            "quarter": [f"{moment.year} Q{moment.quarter}" for moment in visit],
            "weekend": np.where(visit.day_of_week >= 5, "yes", "no"),
            "fee": np.round(rng.lognormal(4, 1, 900), 2),
        }
    )


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> MaskedSynthesizer:
    return MaskedSynthesizer(epochs=1).fit(frame, seed=0, progress=False)


def broken(rows: pd.DataFrame) -> int:
    """Return the number of cells that their date contradicts."""
    visit = rows["visit"].dt
    quarter = visit.year.astype(str) + " Q" + visit.quarter.astype(str)
    wrong = rows["day"].notna() & (rows["day"] != visit.day_name())
    wrong = wrong.astype(int) + (rows["month"] != visit.month) + (rows["quarter"] != quarter)
    return int((wrong + ((rows["weekend"] == "yes") != (visit.day_of_week >= 5))).sum())


def test_every_row_has_the_parts_of_its_date(frame: pd.DataFrame, model: MaskedSynthesizer, tmp_path: Path) -> None:
    assert broken(frame) == 0
    model.save(tmp_path / "model.tabsynth")
    rows = tabsynth.load(tmp_path / "model.tabsynth").sample(700, seed=1, progress=False)
    assert broken(rows) == 0
    assert 0.03 < rows["day"].isna().mean() < 0.2
    assert rows["visit"].nunique() > 300


def test_a_given_part_moves_the_date(model: MaskedSynthesizer) -> None:
    rows = model.sample(100, seed=1, given={"day": "Monday"}, progress=False)
    assert (rows["visit"].dt.day_name() == "Monday").all()
    assert broken(rows) == 0


def test_rules_name_the_part_and_one_other_row_refuses_them(frame: pd.DataFrame) -> None:
    def rules_of(table: Table) -> set[str]:
        return set(Relations.discover(table, Codec.measure(table)).describe())

    expected = {
        "day is a function of the weekday of visit",
        "weekend is a function of the weekday of visit",
        "month is a function of the month of visit",
        "quarter is a function of the quarter of a year of visit",
    }
    assert expected <= rules_of(Table.of(frame))
    other = frame.copy()
    other.loc[5, "weekend"] = "no" if other.loc[5, "weekend"] == "yes" else "yes"
    assert rules_of(Table.of(other)) & expected == expected - {"weekend is a function of the weekday of visit"}


def deliveries(rows: int = 6000) -> pd.DataFrame:
    """Deliveries over 400 days, on holidays between 9 and 13 o'clock and by few drivers, some days after the order."""
    rng = np.random.default_rng(1)
    day = rng.integers(0, 400, rows)
    holiday = np.isin(day, rng.choice(400, 30, replace=False))
    due = pd.Timestamp("2021-03-01") + pd.to_timedelta(day, unit="D")
    return pd.DataFrame(
        {
            "ordered": due - pd.to_timedelta(np.minimum(rng.geometric(0.1, rows) - 1, 60), unit="D"),
            "due": due,
            "holiday": np.where(holiday, "yes", "no"),
            "hour": np.where(holiday, rng.integers(9, 14, rows), rng.integers(0, 24, rows)),
        }
    )


def test_bounds_hold_under_what_a_date_decides_after_the_date_has_moved() -> None:
    frame = deliveries()
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    assert {
        "ordered <= due", "holiday is a function of the date of due", "hour >= 9 if holiday != no",
        "hour <= 13 if holiday != no",
    } <= set(relations.describe())  # fmt: skip
    rng = np.random.default_rng(2)
    shuffled = np.stack([rng.permutation(own) for own in codec.encode(frame).T], axis=1)
    rows = relations.decode(codec, shuffled, rng)
    holiday = rows["due"].map(frame.drop_duplicates("due").set_index("due")["holiday"])
    assert (rows["ordered"] <= rows["due"]).all()
    assert (holiday.isna() | (holiday == rows["holiday"])).all()
    assert holiday.notna().mean() > 0.95
    assert rows["hour"][rows["holiday"] == "yes"].between(9, 13).all()

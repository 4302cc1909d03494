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

"""Findings of a suggestion in the values: units, sentinels, codes and split columns; and no false findings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import InputError
from tabsynth.mixing.matching.name_similarity import name_similarity, unit_in_name
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.units import conversion
from tabsynth.schema.column_names import split_words


@pytest.mark.parametrize(
    ("unit", "to", "analyte", "scale", "offset"),
    [
        ("mmol/L", "mg/dL", "cholesterol", 38.665, 0),
        ("mg/dL", "mmol/L", "glucose", 0.0555, 0),
        ("µmol/L", "mg/dL", "creatinine", 0.011312, 0),
        ("mEq/L", "mmol/L", "calcium", 0.5, 0),
        ("mEq/L", "mg/dL", "potassium", 3.9098, 0),
        ("degF", "degC", None, 5 / 9, -160 / 9),
        ("°F", "°C", None, 5 / 9, -160 / 9),
        ("10^9/L", "10^3/uL", None, 1, 0),
        ("IU/mL", "IU/L", None, 1000, 0),
        ("kg/m2", "g/cm2", None, 0.1, 0),
        ("bpm", "1/s", None, 1 / 60, 0),
        ("yrs", "months", None, 12, 0),
        ("%", "1", None, 0.01, 0),
        ("kEUR", "EUR", None, 1000, 0),
        ("mcg/dL", "umol/L", "iron", 0.17907, 0),
    ],
)
def test_units_as_tables_spell_them(unit: str, to: str, analyte: str | None, scale: float, offset: float) -> None:
    found = conversion(unit, to, analyte)
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert found.offset == pytest.approx(offset, abs=1e-6)


@pytest.mark.parametrize(
    ("unit", "to", "analyte", "said"),
    [
        ("kg", "cm", None, "measure different things"),
        ("mmol/L", "mg/dL", None, "name the analyte"),
        ("mmol/L", "mg/dL", "unobtainium", "molar mass of 'unobtainium' is not known"),
        ("mEq/L", "mmol/L", "glucose", "valence of 'glucose'"),
        ("EUR", "USD", None, "measure different things"),
        ("foo", "kg", None, "'foo' cannot be read"),
    ],
)
def test_a_conversion_that_cannot_be_is_refused(unit: str, to: str, analyte: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        conversion(unit, to, analyte)


def test_names_imply_units_and_abbreviations() -> None:
    def said(name: str) -> tuple[str, ...]:
        return tuple(split_words(name))

    assert unit_in_name(said("chol_mg_dl")) == "mg/dL"
    assert unit_in_name(said("ageMonths")) == "month"
    assert unit_in_name(said("months")) is None  # a unit alone is the quantity, not its unit
    pairs = [
        ("dob", "birth_date"),
        ("gender", "SEX"),
        ("cp", "chest_pain"),
        ("sbp", "systolic_bp"),
        ("wt", "weight_kg"),
    ]
    for one, other in pairs:
        assert name_similarity(said(one), said(other)) > 0.8
    assert name_similarity(said("height"), said("income")) == 0


def site(seed: int, n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(25, 85, n)
    return pd.DataFrame(
        {
            "age": age,
            "glucose": (85 + 0.3 * age + rng.gamma(3, 6, n)).round(),
            "weight": (60 + 0.2 * age + rng.normal(0, 12, n)).round(1),
            "visits": rng.poisson(1.2, n),
        }
    )


def findings(b: pd.DataFrame) -> Plan:
    return ts.suggest({"a": site(0, 400), "b": b})


def test_alike_sources_raise_no_alarm() -> None:
    for seed in range(1, 13):  # 12 pairs of tables, 4 columns each
        plan = findings(site(seed))
        assert not plan.harmonise, [entry.label for entry in plan.harmonise]
        assert not [match.question for match in plan.map if match.question]


@pytest.mark.parametrize(
    ("column", "change", "unit"),
    [
        ("glucose", lambda x: (x / 18.016).round(1), "mmol/L"),
        ("age", lambda x: x * 12 + 5, "month"),
        ("weight", lambda x: (x / 0.4536).round(1), "lb"),
    ],
)
def test_another_unit_is_found(column: str, change: Callable[[pd.Series], pd.Series], unit: str) -> None:
    b = site(1)
    b[column] = change(b[column])
    entry = next(entry for entry in findings(b).harmonise if entry.column == column)
    assert entry.units == {"b": unit}


def test_two_units_in_one_column_are_asked() -> None:
    b = site(1)
    b.loc[::4, "glucose"] = (b.loc[::4, "glucose"] / 18.016).round(1)
    plan = findings(b)
    entry = next(entry for entry in plan.harmonise if entry.mixed)
    assert entry.mixed["b"]["unit"] == "mmol/L"
    assert entry.question
    made = ts.mix(plan.accept())
    got = made.frame["glucose"][made.frame["_source"] == "b"].astype(float)
    np.testing.assert_allclose(got, site(1)["glucose"], atol=1.0)


@pytest.mark.parametrize("sentinel", [0, -9, 999])
def test_a_spike_absent_from_other_sources_is_a_sentinel(sentinel: int) -> None:
    b = site(1)
    b.loc[::10, "glucose"] = sentinel
    plan = findings(b)
    assert [(entry.column, dict(entry.na)) for entry in plan.harmonise if entry.na] == [("glucose", {"b": (sentinel,)})]
    assert ts.mix(plan.accept()).frame["glucose"].isna().sum() == 30


def test_a_zero_that_all_have_is_a_value() -> None:
    assert (site(1)["visits"] == 0).mean() > 0.2
    assert not [entry for entry in findings(site(1)).harmonise if entry.na]


def test_a_difference_that_no_unit_explains_is_asked() -> None:
    b = site(1)
    b["weight"] = b["weight"] * 7.3
    entry = next(entry for entry in findings(b).harmonise if entry.column == "weight")
    assert "No known conversion explains" in entry.question


def test_exchanged_codes_become_a_question() -> None:
    def people(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        sex = rng.integers(1, 3, 600)
        height = np.where(sex == 1, 178, 165) + rng.normal(0, 7, 600)
        return pd.DataFrame(
            {"sex": sex, "height": height.round(), "weight": (height - 100 + rng.normal(0, 8, 600)).round()}
        )

    a, b = people(0), people(1)
    assert not [entry for entry in ts.suggest({"a": a, "b": b}).harmonise if entry.column == "sex"]
    b["sex"] = 3 - b["sex"]
    entry = next(entry for entry in ts.suggest({"a": a, "b": b}).harmonise if entry.column == "sex")
    assert "exchanged" in entry.question


def test_a_date_and_a_name_in_parts_are_found_and_asked() -> None:
    rng = np.random.default_rng(0)
    dates = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 15000, 100), unit="D")
    names = [f"Ada{i} Lovelace{i}" for i in range(100)]
    a = pd.DataFrame({"birth_date": dates, "customer_name": names, "age": rng.integers(20, 80, 100)})
    b = pd.DataFrame(
        {
            "birth_year": dates.year,
            "birth_month": dates.month,
            "birth_day": dates.day,
            "first_name": [f"Bo{i}" for i in range(100)],
            "last_name": [f"Derek{i}" for i in range(100)],
            "age": rng.integers(20, 80, 100),
        }
    )
    plan = ts.suggest({"a": a, "b": b}, target=ts.Schema.infer(a))
    matches = {match.to: match for match in plan.map}
    assert matches["birth_date"].sources["b"] == ("birth_year", "birth_month", "birth_day")
    assert matches["customer_name"].sources["b"] == ("first_name", "last_name")
    assert matches["birth_date"].question
    assert matches["customer_name"].question
    mixed = ts.mix(plan.accept())
    assert mixed.frame["birth_date"].iloc[100:].tolist() == list(dates)
    assert mixed.frame["customer_name"].iloc[100] == "Bo0 Derek0"

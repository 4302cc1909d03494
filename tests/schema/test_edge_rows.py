"""Questions about rows of units, totals and notes."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.inference import infer_schema

ROWS = 30
FRAME = pd.DataFrame({"site": list("AB") * 15, "height": np.arange(ROWS) + 150, "count": np.arange(ROWS) % 4})


def _questions(frame: pd.DataFrame) -> dict[str, str]:
    return infer_schema(frame.infer_objects()).questions


def _with_row(row: list[object], *, first: bool = False) -> pd.DataFrame:
    own = pd.DataFrame([row], columns=FRAME.columns, dtype=object)
    parts = [own, FRAME.astype(object)]
    return pd.concat(parts if first else parts[::-1], ignore_index=True)


def test_an_ordinary_table_has_no_such_rows():
    assert not [text for text in _questions(FRAME).values() if "remove such rows" in text]


@pytest.mark.parametrize("units", ["cm", "[cm]", "mmol/L", "Int"])
def test_units_below_the_header_are_asked_about(units):
    frame = _with_row([None, units, "n"], first=True)
    frame[["height", "count"]] = frame[["height", "count"]].astype(str)
    asked = _questions(frame)
    assert repr(units) in asked["height"]
    assert "'n'" in asked["count"]
    assert "are numbers," not in asked["height"]


@pytest.mark.parametrize("label", ["Total", "TOTAL:", "Summe", "Suma", "合计", " grand  total"])
def test_a_row_of_totals_is_asked_about_by_its_label(label):
    assert "sum of other rows" in _questions(_with_row([label, 4935, 45]))["site"]


def test_a_row_of_totals_without_a_label_is_asked_about():
    asked = _questions(_with_row([None, int(FRAME["height"].sum()), int(FRAME["count"].sum())]))
    assert "sum of all others" in asked["height"]
    assert not any("sum of all others" in text for text in _questions(_with_row([None, 4936, 3])).values())


def test_a_note_below_the_table_is_asked_about():
    assert "'(30 rows)'" in _questions(_with_row(["(30 rows)", None, None]))["site"]


def test_a_repeated_header_is_asked_about():
    frame = pd.concat([FRAME.astype(str), pd.DataFrame([FRAME.columns], columns=FRAME.columns), FRAME.astype(str)])
    assert "row 30" in _questions(frame.reset_index(drop=True))["site"]


def test_a_category_that_is_called_total_in_many_rows_is_none():
    frame = FRAME.assign(site=["total", "partial"] * 15)
    assert not any("sum of other rows" in text for text in _questions(frame).values())


@pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]", "float32", "Float64"])
def test_numbers_of_any_type_are_summed(dtype):
    frame = _with_row([None, int(FRAME["height"].sum()), 3])
    frame["height"] = frame["height"].astype("int64").astype(dtype)
    assert "sum of all others" in infer_schema(frame.assign(count=1)).questions["height"]
    big = frame.assign(count=1, height=(pd.Series(range(len(frame))) + 2**62).astype("int64").astype(dtype))
    assert not any("sum of all" in text for text in infer_schema(big).questions.values())


def test_rows_of_large_integers_beside_arrow_columns_are_inferred():
    big = pd.Series(range(30), dtype="int64") + 2**62
    frame = pd.DataFrame({"a": pd.array([1, None] * 15, "int32[pyarrow]"), "b": big, "c": big.astype("float32")})
    assert infer_schema(frame)["b"].kind == "identifier"

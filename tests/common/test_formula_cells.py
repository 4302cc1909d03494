"""Text that a spreadsheet would evaluate is escaped in CSV and workbooks, and survives the round trip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tabsynth as ts
from tabsynth.common.formula_cells import mark_formulas, unmark_formula, unmark_formulas
from tabsynth.data.private_files import read_private

FORMULAS = [
    "=cmd|' /C calc'!A0", "=1+1", "+1+cmd", "-2+3+cmd|x", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "＠x", "  =1+1", "'=1+1",
    "''=x", "+49 171 1234567", "-x", "=", "@", "-$5.00",
]  # fmt: skip
PLAIN = ["a=b", "5-3", "-5", "+3.25", "-1.234,5", "-", "+", "-1e-5", "-12%", "'quoted'", "", "x@y.org", " a", "'"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_marked(text: str) -> None:
    assert mark_formulas(pa.array([text])).to_pylist() == ["'" + text]


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_and_numbers_are_untouched(text: str) -> None:
    assert mark_formulas(pa.array([text])).to_pylist() == [text]


@given(st.lists(st.text(alphabet="'=+-@ \t\r\n1a.,%＝", max_size=6) | st.none(), max_size=6))
def test_unmarking_is_the_inverse(texts: list[str | None]) -> None:
    marked = mark_formulas(pa.array(texts, pa.string()))
    assert unmark_formulas(marked).to_pylist() == texts
    assert [text and unmark_formula(text) for text in marked.to_pylist()] == texts


def hostile() -> pd.DataFrame:
    values = [text for text in FORMULAS if "\r" not in text]
    return pd.DataFrame({"=HYPERLINK(1)": values, "n": range(-3, len(values) - 3)})


def test_csv(tmp_path: Path) -> None:
    frame = hostile()
    ts.write(frame, tmp_path / "t.csv")
    cells = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert cells.columns.tolist() == ["'=HYPERLINK(1)", "n"]
    assert cells.iloc[:, 0].str.startswith("'").all()
    assert cells["n"].tolist()[0] == "-3"
    pd.testing.assert_frame_equal(ts.read(tmp_path / "t.csv").frame, frame, check_dtype=False)
    ts.write(frame, tmp_path / "kept.csv", keep_formulas=True)
    assert pd.read_csv(tmp_path / "kept.csv", dtype=str).columns[0] == "=HYPERLINK(1)"


def test_csv_of_a_private_fit(tmp_path: Path) -> None:
    frame = hostile()
    frame = frame[~frame.iloc[:, 0].str.contains("[\t\n]")].reset_index(drop=True)
    ts.write(frame, tmp_path / "t.csv")
    assert read_private(tmp_path / "t.csv", list(frame))["=HYPERLINK(1)"].tolist() == frame["=HYPERLINK(1)"].tolist()


def test_workbook(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    frame = hostile()
    ts.write(frame, tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    for row in sheet.iter_rows(max_col=1):
        assert row[0].data_type == "s"
        assert row[0].quotePrefix
    assert sheet["B2"].data_type == "n"
    assert ts.read(tmp_path / "t.xlsx").frame.iloc[:, 0].tolist() == frame.iloc[:, 0].tolist()
    ts.write(frame, tmp_path / "kept.xlsx", keep_formulas=True)
    assert not openpyxl.load_workbook(tmp_path / "kept.xlsx").active["A2"].quotePrefix

"""Workbooks: values that Excel would change are refused, and features invisible to a cell reader are reported."""

from __future__ import annotations

import datetime
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from openpyxl.chart import BarChart, Reference

from tabsynth.data import read, write
from tabsynth.errors import DataError, SourceError


def _book(path: Path, rows: list[list[Any]], **sheets: list[list[Any]]) -> Any:
    book = openpyxl.Workbook()
    book.active.title = "Patients"
    for row in rows:
        book.active.append(row)
    for name, more in sheets.items():
        sheet = book.create_sheet(name)
        for row in more:
            sheet.append(row)
    book.save(path)
    return book


def _warnings(path: Path, **options: Any) -> tuple[pd.DataFrame, str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frame = read(path, **options).frame
    return frame, "; ".join(str(one.message) for one in said)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["x" * 32_768, "y"], "over 32,767 characters"), ([1.5, np.inf], "infinite"), (["a", -np.inf], "infinite"),
        (pd.to_datetime(["2020-01-01 00:00:00.123456", None]), "finer than milliseconds"),
        (pd.to_datetime(["1899-01-01", None]), "before 1900"), (["\x1b", "b"], "control characters"),
        (pd.array(["\x1b", "b"], "string"), "control characters"),
    ],
)  # fmt: skip
def test_what_excel_would_change_is_refused_by_name(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"column 'note': Excel cannot hold .*{message}"):
        write(pd.DataFrame({"note": values}), tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.zeros((1, 16_385)), columns=[f"c{i}" for i in range(16_385)])
    with pytest.raises(DataError, match="16,384 columns"):
        write(frame, tmp_path / "t.xlsx")


def test_milliseconds_survive(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-01-01 10:11:12.123", None, "1900-01-01"], format="ISO8601")})
    write(frame, tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx").frame["t"].equals(frame["t"].astype("datetime64[ns]"))


def test_chart_sheets_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = _book(path, [["a", "b"], [1, 2], [3, 4]])
    chart = BarChart()
    chart.add_data(Reference(book.active, min_col=1, min_row=1, max_row=3))
    book.create_chartsheet("Chart", 0).add_chart(chart)
    book.save(path)
    assert _warnings(path)[0].to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(SourceError, match="no sheet 'Chart'; there are 'Patients'"):
        read(path, sheet="Chart")


def test_the_sheet_that_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = _book(path, [["a"], [1], [2]], Visits=[["b"], ["x"], ["y"]])
    assert "sheet 'Patients' is read, not 'Visits'; give sheet=" in _warnings(path)[1]
    assert _warnings(path, sheet="Visits")[1] == ""
    book["Patients"].sheet_state = "hidden"
    book.save(path)
    assert "sheet 'Visits' is read, not 'Patients'" in _warnings(path)[1]


def test_formulas_merged_and_hidden_cells_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = _book(path, [["ward", "x", "dose"], ["A", 1, "=B2*2"], [None, 2, "=B3*2"], ["B", 3, 5]])
    sheet = book.active
    sheet.merge_cells("A2:A3")
    sheet.column_dimensions["B"].hidden = True
    sheet.row_dimensions[3].hidden = True
    book.save(path)
    frame, said = _warnings(path)
    assert frame["dose"].isna().tolist() == [True, True, False]
    for part in (
        "formulas in 'dose' have no stored value", "merged cells 'A2:A3'", "hidden columns 'x'", "1 hidden or filtered",
    ):  # fmt: skip
        assert part in said


def test_cells_that_are_errors_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    rows = [["ward", "dose"], ["A", 1], ["B", "#DIV/0!"], ["C", "#N/A"]]
    _book(path, rows).save(path)
    frame, said = _warnings(path)
    assert frame["dose"].isna().tolist() == [False, True, True]
    assert "2 cells of 'dose' are errors, such as #N/A, and are missing" in said


def test_numbers_stored_as_text_and_serial_dates_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    day = datetime.datetime(2020, 1, 2)
    _book(path, [["n", "admission_date", "q"], [1, 43_832, 1.5], ["2", 43_833, "?"], [" 3.0 ", 43_834, 2]])
    frame, said = _warnings(path, missing=["?"])
    assert frame["n"].tolist() == [1, 2, 3]
    assert "column 'n': 2 numbers stored as text are read as numbers" in said
    assert "column 'admission_date': its numbers look like serial dates" in said
    _book(path, [["q"], [1.5], ["?"], [2]])
    with pytest.raises(DataError, match="column 'q' mixes"), pytest.warns(UserWarning, match="'q': 1 cells are text"):
        read(path)
    _book(path, [["d"], [day], [43_833]])
    with pytest.raises(DataError, match="mixes"), pytest.warns(UserWarning, match="numbers among dates"):
        read(path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["a\r\nb"], "carriage returns"),
        ([1.7976931348623157e308], "numbers beyond 1e[+]308"),
        ([datetime.date(1850, 1, 1)], "dates before 1900"),
        ([datetime.datetime(1850, 1, 1)], "dates before 1900"),
    ],
)
def test_values_that_excel_would_change_are_refused(tmp_path: Path, values: list[object], says: str) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=float if isinstance(values[0], float) else object)})
    with pytest.raises(DataError, match=f"column 'x': Excel cannot hold {says}"):
        write(frame, tmp_path / "t.xlsx")


@pytest.mark.parametrize("name", ["\x1b]0;title\x07", "a\rb", "a" * 33_000])
def test_column_names_that_excel_would_change_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="the column name '.*': Excel cannot hold"):
        write(pd.DataFrame({name: [1, 2]}), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_workbook_are_kept_in_a_folder_that_later_runs_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "tabsynth-abcdefgh.tmp"
    left.mkdir()
    os.utime(left, (0, 0))
    write(pd.DataFrame({"a": [1, 2]}), tmp_path / "t.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["t.xlsx"]
    assert read(tmp_path / "t.xlsx").frame["a"].tolist() == [1, 2]

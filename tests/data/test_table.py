"""Table: valid tables, refused tables, and errors that name column, value and remedy."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.data import Table
from tabsynth.errors import DataError, SchemaError
from tabsynth.schema import Schema
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.validation import satisfies, to_instants, to_numbers


def one(facts: dict[str, Any], constraints: tuple[Inequality, ...] = ()) -> Schema:
    """A schema of a column x."""
    return Schema.from_dict({"columns": {"x": facts}})


NUMERIC = one({"kind": "numeric"})


class TestOf:
    def test_a_frame_is_taken_as_it_is(self, toy: pd.DataFrame) -> None:
        schema = Schema.from_dict({"columns": {name: {"kind": "text", "nullable": True} for name in toy}})
        before = toy.copy()
        table = Table.of(toy, schema)
        pd.testing.assert_frame_equal(table.frame, before)
        pd.testing.assert_frame_equal(toy, before)
        assert table.schema is schema
        assert len(table) == len(toy)

    def test_a_printed_table_is_one_line(self, toy: pd.DataFrame) -> None:
        assert repr(Table.of(toy)).startswith(f"<Table of {len(toy)} rows and {len(toy.columns)} columns: ")

    def test_frames_of_polars_and_arrow_are_taken(self) -> None:
        frame = pd.DataFrame({"x": [1, 2, 3], "c": ["a", "b", None]})
        arrow = pa.table({"x": [1, 2, 3], "c": ["a", "b", None]})
        polars = pytest.importorskip("polars")
        for other in (arrow, polars.from_arrow(arrow)):
            pd.testing.assert_frame_equal(Table.of(other).frame, frame)

    def test_the_index_is_dropped(self) -> None:
        table = Table.of(pd.DataFrame({"x": [1, 2]}, index=[5, 5]), NUMERIC)
        assert list(table.frame.index) == [0, 1]

    def test_the_frame_decides_the_order_of_columns(self) -> None:
        schema = Schema.from_dict({"columns": {"a": {"kind": "numeric"}, "b": {"kind": "numeric"}}})
        assert list(Table.of(pd.DataFrame({"b": [1], "a": [2]}), schema).frame) == ["b", "a"]

    def test_a_table_passes_unchecked_or_gets_another_schema(self) -> None:
        table = Table.of(pd.DataFrame({"x": [1]}), NUMERIC)
        assert Table.of(table) is table
        assert Table.of(table, NUMERIC) is table
        other = one({"kind": "numeric", "low": 0})
        assert Table.of(table, other).schema is other
        with pytest.raises(DataError, match="below the schema's low 2"):
            Table.of(table, one({"kind": "numeric", "low": 2}))

    @pytest.mark.parametrize("data", [None, [1, 2], {"x": [1]}, np.zeros((2, 2))])
    def test_anything_else_is_refused(self, data: Any) -> None:
        with pytest.raises(DataError, match=f"expected a DataFrame, a Table or a path, not {type(data).__name__}"):
            Table.of(data, NUMERIC)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), "no columns"),
        (pd.DataFrame({"x": []}), "no rows"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels"),
        (pd.DataFrame([[1, 2]]), "column names must be text, not 0, 1; rename with"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "duplicate column names: 'x'"),
        (pd.DataFrame({"x": [1.0, np.inf]}), "column 'x': 1 infinite values, the first at row 1"),
        (pd.DataFrame({"x": [1, np.inf, "a"]}, dtype=object), "column 'x' mixes number and text, such as 1, 'a'"),
        (pd.DataFrame({"x": [1, -np.inf]}, dtype=object), "column 'x' holds infinite values"),
        (pd.DataFrame({"x": [[1], [2]]}), "column 'x' holds list objects"),
        (pd.DataFrame({"x": [True, "a"]}), "column 'x' mixes boolean and text"),
        (pd.DataFrame({"x": [1 + 2j]}), "column 'x' is of type complex128, which no kind of column holds"),
        (pd.DataFrame({"x": pd.to_timedelta([1, 2], unit="s")}), "column 'x' is of type timedelta64"),
        (pd.DataFrame({"x": pd.period_range("2020", "2021", freq="Y")}), "column 'x' is of type period"),
    ],
)
def test_frames_that_no_schema_could_describe(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Table.of(frame, NUMERIC)


@pytest.mark.parametrize(
    ("facts", "values", "message"),
    [
        ({"kind": "numeric"}, [1, None], "column 'x': 1 values are missing, the first at row 1"),
        ({"kind": "numeric"}, ["1", "a", "b"], "column 'x': 2 of 3 values are not numbers, such as 'a', 'b'"),
        ({"kind": "numeric"}, ["1", "inf"], "column 'x' holds infinite values"),
        ({"kind": "numeric"}, pd.to_datetime(["2020-01-01"]), "column 'x' holds dates, not numbers"),
        ({"kind": "numeric", "low": 2}, [1, 3], "column 'x': 1 values are below the schema's low 2, such as 1.0"),
        ({"kind": "numeric", "high": 2}, [1, 3], "column 'x': 1 values are above the schema's high 2, such as 3.0"),
        ({"kind": "datetime"}, ["2020-13-01"], "1 of 1 values are not dates of the format 'ISO 8601'"),
        ({"kind": "datetime", "format": "%d/%m/%Y"}, ["2020-01-01"], "not dates of the format '%d/%m/%Y'"),
        ({"kind": "datetime"}, ["9999-12-31"], "dates from 1678 to 2261 can be held"),
        ({"kind": "datetime"}, np.array(["9999-12-31"], "datetime64[us]"), "dates from 1678 to 2261 can be held"),
        ({"kind": "datetime", "low": "2020-01-02"}, ["2020-01-01"], "below the schema's low 2020-01-02"),
        ({"kind": "datetime", "high": "2020-01-01T01:00:00+01:00"}, ["2020-01-01T00:00:01"], "above the schema's high"),
        ({"kind": "boolean"}, ["yes", "no"], "2 values are not in the schema, such as 'yes', 'no'; the schema allows"),
        ({"kind": "categorical", "values": ["a"]}, ["a", "b"], "1 values are not in the schema, such as 'b'"),
        ({"kind": "categorical", "values": ["1"]}, [1], "such as 1; the schema allows '1'"),
    ],
)
def test_values_that_do_not_fit_their_column(facts: dict[str, Any], values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Table.of(pd.DataFrame({"x": values}), one(facts))


@pytest.mark.parametrize(
    ("facts", "values"),
    [
        ({"kind": "numeric", "nullable": True}, [1, None]),
        ({"kind": "numeric", "low": 1, "high": 3}, [1, 3]),
        ({"kind": "numeric"}, ["1", "2.5"]),
        ({"kind": "numeric"}, [decimal.Decimal("1.5")]),
        ({"kind": "numeric", "nullable": True}, pd.array([1, None], dtype="Int64")),
        ({"kind": "numeric"}, pd.Categorical([1, 2])),
        ({"kind": "datetime"}, ["2020-01-01", "2020-01-01T10:00:00Z"]),
        ({"kind": "datetime", "nullable": True}, [datetime.date(2020, 1, 1), None]),
        ({"kind": "datetime", "low": "2020-01-01", "high": "2020-01-01"}, pd.to_datetime(["2020-01-01"])),
        ({"kind": "datetime", "low": "0001-01-01", "high": "9999-12-31"}, pd.to_datetime(["2020-01-01"])),
        ({"kind": "boolean", "nullable": True}, [True, None]),
        ({"kind": "categorical", "values": [1, 2], "nullable": True}, [1.0, np.nan]),
        ({"kind": "categorical", "values": ["a", "b"]}, pd.Categorical(["a"], categories=["a", "z"])),
        ({"kind": "categorical"}, ["a", "b"]),
        ({"kind": "identifier"}, [1, 2]),
        ({"kind": "text"}, ["a", "b"]),
    ],
)
def test_values_that_fit(facts: dict[str, Any], values: Any) -> None:
    frame = pd.DataFrame({"x": values})
    pd.testing.assert_frame_equal(Table.of(frame, one(facts)).frame, frame)


def test_columns_of_schema_and_table_are_the_same() -> None:
    schema = Schema.from_dict({"columns": {"a": {"kind": "numeric"}, "b": {"kind": "numeric"}}})
    with pytest.raises(SchemaError, match="'a' of the schema is not in the table; 'c' of the table is not"):
        Table.of(pd.DataFrame({"b": [1], "c": [1]}), schema)


class TestConstraints:
    @staticmethod
    def schema(kind: str, **facts: Any) -> Schema:
        column = {"kind": kind, "nullable": True, **facts}
        constraint = {"kind": "inequality", "low": "a", "high": "b"}
        return Schema.from_dict({"columns": {"a": column, "b": column}, "constraints": [constraint]})

    def test_a_broken_row_is_named(self) -> None:
        with pytest.raises(DataError, match=r"1 rows violate the constraint .*'low': 'a'.*, the first is row 2"):
            Table.of(pd.DataFrame({"a": [1, 2, 3], "b": [1, 3, 2]}), self.schema("numeric"))

    def test_dates_are_compared_as_dates_however_spelled(self) -> None:
        """As text, 02/01/2021 comes before 31/12/2020."""
        frame = pd.DataFrame({"a": ["31/12/2020", None], "b": ["02/01/2021", "01/01/2021"]})
        Table.of(frame, self.schema("datetime", format="%d/%m/%Y"))
        with pytest.raises(DataError, match="1 rows violate"):
            Table.of(frame.rename(columns={"a": "b", "b": "a"}), self.schema("datetime", format="%d/%m/%Y"))

    def test_numbers_are_compared_as_numbers_however_spelled(self) -> None:
        schema = self.schema("numeric")
        frame = pd.DataFrame({"a": ["9", None], "b": ["10", "1"]}, index=[3, 3])
        assert satisfies(schema.constraints[0], frame, schema).tolist() == [True, True]

    def test_dates_of_different_types(self) -> None:
        schema = self.schema("datetime")
        frame = pd.DataFrame({"a": ["2020-01-01"], "b": pd.to_datetime(["2020-01-02"], utc=True)})
        assert satisfies(schema.constraints[0], frame, schema).tolist() == [True]


class TestNumbers:
    @given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_numbers_come_back(self, values: list[float | None]) -> None:
        expected = np.array([np.nan if value is None else value for value in values])
        for dtype in (object, "Float64", float):
            np.testing.assert_array_equal(to_numbers(pd.Series(values, dtype=dtype)), expected)

    @given(st.lists(st.none() | st.integers(-(10**15), 10**15), min_size=1))
    def test_text_is_read(self, values: list[int | None]) -> None:
        text = pd.Series([None if value is None else str(value) for value in values], dtype=object)
        np.testing.assert_array_equal(to_numbers(text), np.array(values, dtype=float))

    def test_booleans_and_categories(self) -> None:
        assert to_numbers(pd.Series([True, None], dtype="boolean"))[0] == 1
        assert to_numbers(pd.Series(["1", "2"], dtype="category")).tolist() == [1, 2]


class TestInstants:
    expected = pd.Series(pd.to_datetime(["2020-06-01 10:00:00", None]))

    @pytest.mark.parametrize(
        ("values", "format"),
        [
            (["2020-06-01T10:00:00", None], None),
            (["2020-06-01 12:00:00+02:00", None], None),
            (["01.06.2020 10h", None], "%d.%m.%Y %Hh"),
            ([datetime.datetime(2020, 6, 1, 10), None], None),
            ([pd.Timestamp("2020-06-01 12:00", tz="Europe/Paris"), None], None),
            (pd.Categorical(["2020-06-01T10:00:00", None]), None),
            (np.array(["2020-06-01T10:00", "NaT"], "datetime64[s]"), None),
            (pd.array(["2020-06-01T10:00:00", None], dtype="string"), None),
        ],
    )
    def test_every_spelling_is_one_instant(self, values: Any, format: str | None) -> None:
        pd.testing.assert_series_equal(to_instants(pd.Series(values), format), self.expected)

    @given(st.lists(st.none() | st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), min_size=1))
    def test_iso_text_comes_back(self, values: list[datetime.datetime | None]) -> None:
        text = pd.Series([None if value is None else value.isoformat() for value in values], dtype=object)
        expected = pd.Series(np.array(values, dtype="datetime64[ns]"))
        pd.testing.assert_series_equal(to_instants(text), expected)

    def test_nothing_but_missing(self) -> None:
        assert to_instants(pd.Series([None, None], dtype=object)).isna().all()

"""A cell is read equally in columns of numbers, truth values, dates and text, so no row affects another."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import PrivacyError
from tabsynth.privacy.mechanisms.canonical_cells import to_text
from tabsynth.privacy.mechanisms.clamping import private_column
from tabsynth.privacy.public_schema import private_schema
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "code": {"kind": "categorical", "values": [7, 12, "0.50", "1e3", "-3", "x", "other"], "nullable": True},
            "truth": {"kind": "categorical", "values": [True, False], "nullable": True},
            "flag": {"kind": "boolean", "nullable": True},
            "number": {"kind": "numeric", "low": -1e6, "high": 1e6, "nullable": True},
            "whole": {"kind": "numeric", "low": 0, "high": 2000, "decimals": 0, "nullable": True},
            "day": {
                "kind": "datetime",
                "low": "2000-01-01",
                "high": "2030-01-01",
                "format": "%Y%m%d",
                "nullable": True,
            },
            "short": {
                "kind": "datetime",
                "low": "2000-01-01",
                "high": "2030-01-01",
                "format": "%d%m%y",
                "nullable": True,
            },
            "month": {
                "kind": "datetime",
                "low": "2000-01-01",
                "high": "2030-01-01",
                "format": "%Y.%m",
                "nullable": True,
            },
            "iso": {"kind": "datetime", "low": "2000-01-01", "high": "2030-01-01", "nullable": True},
            "note": {"kind": "text", "nullable": True},
        }
    }
)

SPELLED = [
    *(
        "007",
        "7",
        "7.0",
        "+7",
        " 7",
        "7 ",
        "12",
        "0012",
        "0.50",
        ".5",
        "0.5",
        "5.",
        "1e3",
        "1E3",
        "1000",
        "-3",
        "-3.0",
        "-0",
    ),
    *("12345678901234567", "12345678901234568", "9007199254740993", "123456789012345678901234", "0.1234567890123456"),
    *("20240131", "20240131.0", "050624", "50624", "2024.10", "2024.1", "2024", "inf", "-Infinity", "1e400", "1e-400"),
]
TRUTHS = ["true", "True", "TRUE", "false", "False", "FALSE"]
NUMBERS = st.one_of(
    st.sampled_from(SPELLED),
    st.integers(-(10**18), 10**18).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6).map(str),
    st.floats(-1e6, 1e6, width=64).map(repr),
)


def as_read(cells: list[str]) -> pd.Series:
    """The column that pandas makes of a file."""
    quoted = ['"' + cell + '"' for cell in cells]
    return pd.read_csv(io.StringIO("x\n" + "\n".join(quoted) + "\n"))["x"]


@settings(max_examples=60, deadline=None)
@given(
    cells=st.one_of(
        st.lists(NUMBERS, min_size=1, max_size=6), st.lists(st.sampled_from(TRUTHS), min_size=1, max_size=4)
    ),
    word=st.sampled_from(["unknown", "", "0.5", "true", "7", "x", "1e400", "123456789012345678901234"]),
)
def test_one_cell_changes_no_other_row(cells: list[str], word: str) -> None:
    alone, together = as_read(cells), as_read([*cells, word])
    for column in SCHEMA.values():
        first, second = private_column(alone, column), private_column(together, column).iloc[: len(cells)]
        pd.testing.assert_series_equal(first, second, check_dtype=False, obj=column.name)


@pytest.mark.parametrize(
    ("name", "cell", "wanted"),
    [
        ("code", "007", 7),
        ("code", 0.5, "0.50"),
        ("code", "1000.0", "1e3"),
        ("code", "12345678901234567", "other"),
        ("truth", "TRUE", True),
        ("flag", "true", True),
        ("flag", 1.0, True),
        ("number", "true", 1.0),
        ("day", 20240131, pd.Timestamp("2024-01-31")),
        ("day", 20240131.0, pd.Timestamp("2024-01-31")),
        ("short", 50624, pd.Timestamp("2024-06-05")),
        ("month", 2024.1, pd.Timestamp("2024-10-01")),
        ("iso", 2024, pd.Timestamp("2024-01-01")),
    ],
)
def test_what_a_cell_says(name: str, cell: Any, wanted: Any) -> None:
    got = private_column(pd.Series([cell], dtype=object), SCHEMA[name]).iloc[0]
    assert got == wanted


def test_days_are_spelled_alike_as_dates_and_as_text() -> None:
    spelled = ["2024-01-31", "2024-01-31 12:30:00", "2024-01-31T12:30:00"]
    read = pd.Series(pd.to_datetime(spelled, format="ISO8601"))
    assert list(to_text(pd.Series(spelled))) == list(to_text(read)) == ["2024-01-31", *["2024-01-31T12:30:00"] * 2]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"values": [7, "007"]}, "7 and '007' are equal as numbers"),
        ({"values": ["true", True]}, "'true' and True are equal as numbers"),
        ({"values": ["0.5", "a", ".50"]}, "'0.5' and '.50' are equal as numbers"),
        ({"values": ["2024-01-31", "2024-01-31T00:00"]}, "are equal as numbers, truth values or dates"),
        ({"values": [2**53, 1]}, "9007199254740992 is not an exact number"),
        ({"values": ["12345678901234567"]}, "'12345678901234567' is not an exact number"),
        ({"values": [0.1234567890123456]}, "is not an exact number"),
        ({"values": ["a\0", "b"]}, "holds a NUL character"),
        ({"kind": "numeric", "low": 0, "high": 2**60, "decimals": 0}, r"from 2\*\*53 on"),
        ({"kind": "datetime", "low": "2000-01-01", "high": "2001-01-01", "format": "%Y%m%d%H%M%S%f"}, "15 digits"),
    ],
)
def test_what_readers_could_take_for_another_value_is_refused_by_the_schema_alone(
    facts: dict[str, Any], says: str
) -> None:
    with pytest.raises(PrivacyError, match=f"column 'x'.*{says}"):
        private_schema(Schema.from_dict({"columns": {"x": {"kind": "categorical", **facts}}}))


def test_a_column_of_whole_numbers_with_a_gap_is_read_as_without() -> None:
    for values in ([1, 2, 3], [2**53 - 1, 2**53, 2**60 + 1]):
        whole, gap = pd.Series(values), pd.Series([*map(float, values), np.nan])
        assert list(to_text(whole)) == list(to_text(gap))[:3]


@pytest.mark.parametrize("kind", [object, "string"])
def test_text_that_holds_a_nul_character_is_not_the_text_before_it(kind: Any) -> None:
    cells = ["x\0y", "x", "x", "7\0", "7"]
    got = private_column(pd.Series(cells, dtype=kind), SCHEMA["code"])
    assert got.tolist() == ["other", "x", "x", "other", 7]
    days = private_column(pd.Series(["2024-01-31\0", "2024-01-31"], dtype=kind), SCHEMA["iso"])
    assert days.isna().tolist() == [True, False]

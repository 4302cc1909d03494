"""Casts of columns to their declared kinds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.data.csv_types import cast_to_column
from tabsynth.errors import DataError
from tabsynth.schema import Boolean, Categorical
from tabsynth.schema.cell_types import is_text

CELLS = st.one_of(
    st.sampled_from(["a", "A", "1", "1.0", "true", "TRUE", "yes", "", None, pd.NaT, float("nan")]),
    st.sampled_from([1, 1.0, True, 0, False, np.int64(1), 2.5]),
)
COLUMNS = [
    *(Categorical(name="x", values=values) for values in (("a", "1"), (1, 2), ("A", "b"))),
    Boolean(name="x"),
]


def one_by_one(values: pd.Series, column: Categorical | Boolean) -> list[object]:
    """Cast each cell alone."""
    names = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    known = names if isinstance(column, Boolean) else {str(value): value for value in column.values or ()}
    # A whole number may be written as 1 or 1.0.
    known |= {f"{value}.0": value for value in known.values() if type(value) is int}
    return [None if pd.isna(v) else known.get(str(v), known.get(str(v).lower(), v)) for v in values]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
@given(cells=st.lists(CELLS, min_size=1, max_size=12))
def test_members_of_a_column_are_those_of_its_cells(column: Categorical | Boolean, cells: list[object]) -> None:
    values = pd.Series(cells, dtype=object)
    wanted = one_by_one(values, column)
    members = (True, False) if isinstance(column, Boolean) else column.values or ()
    present = [value for value in wanted if value is not None]
    if any(isinstance(value, str) and value not in members for value in present) and not is_text(pd.Series(present)):
        with pytest.raises(DataError, match="not in the schema"):
            cast_to_column(values, column)
        return
    cast = cast_to_column(values, column)
    assert cast is not None
    assert [None if pd.isna(value) else value for value in cast] == wanted
    kinds = {type(value) for value in wanted if value is not None}
    if kinds == {str}:
        assert [type(value) for value in cast if not pd.isna(value)] == [str] * sum(v is not None for v in wanted)


@given(st.lists(CELLS, max_size=12))
def test_text_is_recognised(cells: list[object]) -> None:
    present = [value for value in cells if not pd.isna(value)]
    assert is_text(pd.Series(cells, dtype=object)) == all(isinstance(value, str) for value in present)

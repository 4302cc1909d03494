"""Public cells cover the declared domain, follow from the declaration only, and give round numbers their own cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.errors import PrivacyError
from tabsynth.schema import Boolean, Categorical, Column, Datetime, Numeric
from tabsynth.synthesizers.marginal.bins.public_bins import Grid, column_grid, numeric_grid

ends = st.tuples(st.integers(-(10**7), 10**7), st.integers(0, 10**7)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ends, st.integers(0, 2))
def test_cells_cover_the_line_in_order_without_gaps(span: tuple[int, int], decimals: int) -> None:
    grid = numeric_grid(float(span[0]), float(span[1]), decimals, nullable=False)
    step = 10.0**-decimals
    assert grid.low[0] == span[0]
    assert grid.high[-1] == span[1]
    assert (grid.low <= grid.high).all()
    np.testing.assert_allclose(grid.low[1:] - grid.high[:-1], step, rtol=1e-6)
    assert grid.size < 4000
    assert (np.diff(grid.blocks) >= 0).all()


@given(ends, st.integers(0, 2**32))
def test_every_number_falls_in_the_cell_that_holds_it(span: tuple[int, int], seed: int) -> None:
    grid = numeric_grid(float(span[0]), float(span[1]), 0, nullable=False)
    data = np.random.default_rng(seed).integers(span[0], span[1], 50, endpoint=True).astype(float)
    cells = grid.encode(Numeric(name="x", low=span[0], high=span[1], decimals=0), pd.Series(data))
    assert ((grid.low[cells] <= data) & (data <= grid.high[cells])).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.5, 8.0), (1e9, 1.1e9)])
def test_unrounded_numbers_too(low: float, high: float) -> None:
    column = Numeric(name="x", low=low, high=high)
    grid = column_grid(column)
    data = np.append(np.random.default_rng(0).uniform(low, high, 1000), [low, high])
    cells = grid.encode(column, pd.Series(data))
    assert ((grid.low[cells] <= data) & (data <= grid.high[cells])).all()
    assert grid.low[cells[-2]] == grid.high[cells[-2]] == low


def test_round_amounts_stand_alone_and_zero_too() -> None:
    grid = numeric_grid(-200_000, 1_000_000, 0, nullable=False)
    alone = set(grid.low[grid.low == grid.high])
    assert {0, 1000, 1500, 2000, 5000, 10_000, 50_000, 500_000} <= alone
    assert 1234 not in alone
    assert grid.blocks[-1] < 40


def test_few_values_get_a_cell_each() -> None:
    grid = column_grid(Numeric(name="age", low=0, high=120, decimals=0, nullable=True))
    assert grid.size == 122
    assert (grid.blocks == 0).all()


def test_dates_lie_on_a_line_of_their_resolution() -> None:
    column = Datetime(name="seen", low="2020-01-01", high="2020-12-31", resolution="D")
    grid = column_grid(column)
    moments = pd.Series(pd.to_datetime(["2020-01-01", "2020-12-31"]))
    assert grid.encode(column, moments).tolist() == [0, grid.size - 1]


@pytest.mark.parametrize(
    "column",
    [Boolean(name="b"), Categorical(name="c", values=("x", "y")), Numeric(name="n", low=0, high=9, decimals=0)],
)
def test_what_is_not_declared_falls_in_a_declared_cell(column: Column) -> None:
    grid: Grid = column_grid(column)
    cells = grid.encode(column, pd.Series([None, None], dtype=object))
    assert ((cells >= 0) & (cells < grid.size)).all()


@pytest.mark.parametrize(
    "column", [Categorical(name="c"), Numeric(name="n", low=0), Datetime(name="d", high="2020-01-01")]
)
def test_a_domain_that_is_not_declared_is_refused(column: Column) -> None:
    with pytest.raises(PrivacyError, match=f"column '{column.name}'.*declare"):
        column_grid(column)

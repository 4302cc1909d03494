"""Splits for private fits do not depend on the content of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.table import Table
from tabsynth.data.train_test_split import split_independently
from tabsynth.errors import DataError


def table_of(rows: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    persons = [f"p{number}" for number in rng.integers(0, rows // 3, rows)]
    return Table.of(pd.DataFrame({"x": np.arange(rows), "y": rng.normal(size=rows).round(2), "person": persons}))


def test_a_further_row_moves_no_other_row() -> None:
    table = table_of(400)
    fewer = Table(table.frame[:-1], table.schema)
    held, held_fewer = (set(split_independently(one, 0.3, seed=5)[1].frame["x"]) for one in (table, fewer))
    assert held - {399} == held_fewer


def test_no_value_moves_a_row() -> None:
    table = table_of(400)
    other = Table(table.frame.assign(y=table.frame["y"] * -3), table.schema)
    first, second = (split_independently(one, 0.3, seed=5)[1].frame["x"].tolist() for one in (table, other))
    assert first == second


def test_persons_stay_whole_and_every_row_is_in_one_part() -> None:
    train, holdout = split_independently(table_of(400), 0.3, seed=5, unit="person")
    assert not set(train.frame["person"]) & set(holdout.frame["person"])
    assert sorted([*train.frame["x"], *holdout.frame["x"]]) == list(range(400))
    assert 60 < len(holdout) < 180


def test_a_table_of_too_few_rows_is_refused() -> None:
    with pytest.raises(DataError, match="too few rows to hold out"):
        split_independently(table_of(3), 1e-9)

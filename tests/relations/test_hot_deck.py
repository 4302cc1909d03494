"""Hot-deck repair: rows take cells of near donors that satisfy the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tabsynth.relations.declared.hot_deck import CHUNK_ROWS, replace_from_donors
from tabsynth.schema.constraints.values import find_combination


def test_rows_take_cells_of_the_nearest_donors() -> None:
    # More rows than are compared at once; the numbers, the missing numbers and the categories show the group of a row.
    n = 2 * CHUNK_ROWS + 10
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, n)
    values: dict[str, Any] = {
        "number": np.where(group < 2, group + rng.normal(0, 0.05, n), np.nan),
        "name": np.array(["a", "a", "b", None], dtype=object)[group],
        "cell": np.full(n, -1.0),
    }
    pool = {name: cells.copy() for name, cells in values.items()} | {"cell": group.astype(np.float64)}

    left = replace_from_donors(
        values,
        np.arange(n),
        pool,
        ["cell"],
        {"cell": np.ones(n, bool)},
        lambda trial, rows, columns: np.ones(len(rows), bool),
        rng,
    )

    assert not len(left)
    np.testing.assert_array_equal(values["cell"], group)


@pytest.mark.parametrize("kind", [object, float])
def test_combinations_are_found_as_if_row_by_row(kind: type) -> None:
    rng = np.random.default_rng(1)
    cells = np.array([0, 1, 2, 3, None], dtype=object)
    one, other = (rng.choice(cells, 300).astype(kind) for _ in range(2))
    listed = [(0, 1), (1, 2), (3, 3), (1, 0)]

    found = find_combination({"one": one, "other": other}, ("one", "other"), listed)

    np.testing.assert_array_equal(found >= 0, [pair in listed for pair in zip(one, other, strict=True)])
    found_pairs = {(number, a, b) for number, a, b in zip(found, one, other, strict=True) if number >= 0}
    assert len(found_pairs) == len(listed)

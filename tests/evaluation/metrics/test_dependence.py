"""Pairs and triples of wide tables are chosen without listing all of them."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from tabsynth.evaluation.metrics.dependence import _spaced_permutations, spaced_combinations


@pytest.mark.parametrize(
    ("d", "k", "most"), [(5, 2, 300), (40, 2, 300), (17, 3, 60), (9, 3, 84), (9, 3, 83), (7, 1, 3)]
)
def test_the_combinations_are_those_of_the_list(d: int, k: int, most: int) -> None:
    every = list(combinations(range(d), k))
    spaced = every if len(every) <= most else [every[int(i)] for i in np.linspace(0, len(every) - 1, most)]
    assert spaced_combinations(d, k, most) == spaced


@pytest.mark.parametrize(("d", "most"), [(2, 5), (6, 30), (30, 300)])
def test_the_ordered_pairs_are_those_of_the_list(d: int, most: int) -> None:
    every = list(permutations(range(d), 2))
    spaced = every if len(every) <= most else [every[int(i)] for i in np.linspace(0, len(every) - 1, most)]
    assert _spaced_permutations(d, most) == spaced


def test_triples_of_thousands_of_columns_need_no_list() -> None:
    chosen = spaced_combinations(5_000, 3, 60)
    assert chosen[0] == (0, 1, 2)
    assert chosen[-1] == (4_997, 4_998, 4_999)
    assert all(a < b < c for a, b, c in chosen)

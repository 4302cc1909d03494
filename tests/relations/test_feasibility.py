"""Contradictory constraints are named; satisfiable ones are accepted."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tabsynth.errors import SchemaError
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema import Schema

COLUMNS: dict[str, Any] = {
    "a": {"kind": "numeric", "low": 0, "high": 10},
    "b": {"kind": "numeric"},
    "c": {"kind": "numeric"},
    "n": {"kind": "numeric", "decimals": 0},
    "from": {"kind": "datetime", "low": "2024-01-01"},
    "to": {"kind": "datetime", "high": "2023-01-01"},
    "city": {"kind": "categorical", "values": ["Bern", "Oslo"]},
    "land": {"kind": "categorical", "values": ["CH", "NO"]},
    "yes": {"kind": "boolean"},
    "no": {"kind": "boolean"},
}


def schema_of(*rules: dict[str, Any]) -> Schema:
    return Schema.from_dict({"columns": COLUMNS, "constraints": list(rules)})


def order(*names: str, **facts: Any) -> dict[str, Any]:
    return {"kind": "order", "sequence": list(names), **facts}


def expression(rule: str) -> dict[str, Any]:
    return {"kind": "expression", "rule": rule}


# By the graph of differences alone, without a solver.
GRAPH = [
    ([order("a", "b"), order("b", "a", strict=True)], ["a <= b", "b < a"]),
    ([order("a", "b", "c", least=1), order("a", "c", greatest=1.5)], ["<= c - a <= 1.5"]),
    ([order("from", "to")], ["from <= to", "the lower bound of 'from'", "the upper bound of 'to'"]),
    ([{"kind": "range", "column": "b", "low": 5}, {"kind": "range", "column": "b", "high": 4}], ["5", "4"]),
    ([expression("a >= 11")], ["the upper bound of 'a'"]),
    ([{"kind": "linear", "column": "b", "terms": ["a"], "constant": 3}, order("b", "a")], ["b = a + 3"]),
]

SOLVER = [
    ([expression("a + b <= 3"), expression("a + b >= 4")], ["a + b <= 3", "a + b >= 4"]),
    ([{"kind": "forbidden", "of": ["city"], "values": ["Bern", "Oslo"]}], ["the values of 'city'"]),
    (
        [
            {"kind": "lookup", "column": "land", "by": "city", "values": {"Bern": "CH", "Oslo": "NO"}},
            {"kind": "forbidden", "of": ["city", "land"], "values": [["Bern", "CH"], ["Oslo", "NO"]]},
        ],
        ["land is looked up by city", "never"],
    ),
    ([{"kind": "one_of", "of": ["yes", "no"]}, expression("yes and no")], ["at most one of", "yes and no"]),
    (
        [{"kind": "if_then", "when": "yes", "then": "a > 5"}, expression("yes"), expression("a < 2")],
        ["if yes then a > 5"],
    ),
    ([expression("n > 2 and n < 3")], ["n > 2 and n < 3"]),
    (
        [
            {"kind": "range", "column": "b", "by": "city", "bounds": {"Bern": [0, 1], "Oslo": [3, 4]}},
            expression("b == 2"),
        ],
        ["within the range of its city"],
    ),
    ([{"kind": "missing", "column": "b", "when": "yes"}, expression("yes"), expression("not missing(b)")], ["missing"]),
]


@pytest.mark.parametrize(("rules", "named"), GRAPH)
def test_contradictions_of_orders_and_ranges_are_named(
    rules: list[dict[str, Any]], named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(SchemaError, match="no row can satisfy all of these") as caught:
        check_feasible(schema_of(*rules))
    assert all(name in str(caught.value) for name in named)


@pytest.mark.parametrize(("rules", "named"), SOLVER)
def test_other_contradictions_are_named_by_the_solver(rules: list[dict[str, Any]], named: list[str]) -> None:
    pytest.importorskip("z3")
    with pytest.raises(SchemaError, match="no row can satisfy all of these") as caught:
        check_feasible(schema_of(order("a", "c"), *rules))
    assert all(name in str(caught.value) for name in named)
    assert "a <= c" not in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_constraints_that_a_row_satisfies_are_accepted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = dict(zip("abc", rng.integers(0, 11, 3).tolist(), strict=True))
    rules = []
    for _ in range(4):
        low, high = rng.choice(list("abc"), 2, replace=False).tolist()
        gap = row[high] - row[low]
        rules.append(order(low, high, least=gap - int(rng.integers(0, 2)), greatest=gap + int(rng.integers(0, 2))))
    total = row["a"] + row["b"]
    check_feasible(
        schema_of(*rules, expression(f"a + b <= {total}"), expression(f"where(a > {row['a']}, b == 99, True)"))
    )

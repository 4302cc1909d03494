"""Random compositions of three declared rules hold in every row, with and without a condition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.registry import create

NUMBERS = ("a", "b", "c")


@st.composite
def rule(draw: st.DrawFn) -> dict[str, Any]:
    """A rule over three numbers, two categories and a flag."""
    one, two, three = draw(st.permutations(NUMBERS))
    kind = draw(
        st.sampled_from(["order", "chain", "linear", "range", "group", "if", "forbid", "set", "missing", "text"])
    )
    number = draw(st.integers(-5, 15))
    return {
        "order": {"kind": "order", "sequence": [one, two], "least": float(draw(st.integers(-3, 2)))},
        "chain": {"kind": "order", "sequence": [one, two, three], "greatest": float(draw(st.integers(3, 20)))},
        "linear": {"kind": "linear", "column": one, "terms": [two, three]},
        "range": {"kind": "range", "column": one, "low": two, "high": number + 10},
        "group": {"kind": "range", "column": one, "by": "x", "bounds": {"u": [None, number], "v": [number, None]}},
        "if": {"kind": "if_then", "when": f'{one} > {number} and x == "u"', "then": f"{two} == {number}"},
        "forbid": {"kind": "forbidden", "of": ["x", "y"], "values": [["u", "p"], ["v", "q"]]},
        "set": {"kind": "lookup", "column": "y", "by": "x", "values": {"u": "p"}},
        "missing": {"kind": "missing", "column": "z", "when": f"{one} > {number}"},
        "text": {"kind": "expression", "rule": f'where(x == "w", abs({one} - {two}) < 6, {three} != {number})'},
    }[kind]


def obeying(rules: list[dict[str, Any]], seed: int) -> tuple[pd.DataFrame, Schema] | None:
    """Rows that obey, with their schema; None if too few of a random table do."""
    rng = np.random.default_rng(seed)
    n = 4000
    base = rng.integers(-10, 20, n)
    frame = pd.DataFrame(
        {
            "a": base,
            "b": base + rng.integers(-4, 8, n),
            "c": rng.integers(-10, 20, n),
            "x": rng.choice(["u", "v", "w"], n),
            "y": rng.choice(["p", "q", "r"], n),
            "z": pd.Series(rng.integers(0, 9, n)).where(rng.random(n) < 0.5),
        }
    )
    for one in rules:
        if one["kind"] == "linear":  # a random table hardly ever obeys an equation
            frame[one["column"]] = sum(frame[name] for name in one["terms"])
    columns = {name: {"kind": "numeric", "decimals": 0, "nullable": name == "z"} for name in ("a", "b", "c", "z")}
    columns |= {name: {"kind": "categorical"} for name in ("x", "y")}
    schema = Schema.from_dict({"columns": {name: columns[name] for name in frame}, "constraints": rules})
    good = np.logical_and.reduce([satisfies(one, frame, schema) for one in schema.constraints])
    return (frame[good].head(300).reset_index(drop=True), schema) if good.sum() >= 60 else None


@settings(max_examples=24, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rule(), min_size=3, max_size=3), st.integers(0, 9))
def test_three_rules_at_once(rules: list[dict[str, Any]], seed: int) -> None:
    found = obeying(rules, seed)
    if found is None:
        return
    frame, schema = found
    check_feasible(schema)  # some row obeys, so nothing contradicts
    model = create("marginal", components=4).fit(frame, schema=schema, seed=0)
    middle = tuple(frame["a"].quantile([0.25, 0.75]).tolist())
    for wanted in (None, {"a": middle}, {"x": frame["x"].mode()[0]}):
        rows = model.sample(100, given=wanted, seed=seed)
        broken = [one.describe() for one in schema.constraints if not satisfies(one, rows, schema).all()]
        assert not broken
        if wanted is not None and "a" in wanted:
            assert rows["a"].between(*middle).all()

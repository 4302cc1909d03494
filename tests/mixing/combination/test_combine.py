"""Combination: absent columns, fusing and conflict resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tabsynth as ts
from tabsynth.errors import InputError
from tabsynth.mixing.inputs import frame_hash
from tabsynth.mixing.plan.entries import code_text, code_texts
from tabsynth.mixing.plan.plan import Plan


def plan_of(tables: dict[str, pd.DataFrame], kinds: dict[str, str], **parts: Any) -> Plan:
    inputs: dict[str, Any] = {name: {"sha256": frame_hash(frame)} for name, frame in tables.items()}
    for name, trust in parts.pop("trust", {}).items():
        inputs[name]["trust"] = trust
    entries = [
        {"to": c, "kind": k, "from": {n: c for n, f in tables.items() if c in f}, "status": "accepted"}
        for c, k in kinds.items()
    ]
    return Plan.from_dict({"version": 1, "inputs": inputs, "map": entries, **parts}, tables=tables)


def halves(n: int = 400) -> dict[str, pd.DataFrame]:
    """Two tables that share sex; one has height, the other weight."""
    rng = np.random.default_rng(0)
    out = {}
    for name, own in (("a", "height"), ("b", "weight")):
        sex = rng.choice(["f", "m"], n)
        base = {"height": 165, "weight": 65}[own]
        out[name] = pd.DataFrame({"sex": sex, own: (base + 13 * (sex == "m") + rng.normal(0, 4, n)).round(1)})
    out["b"]["pulse"] = rng.normal(70, 8, n).round()
    return out


KINDS = {"sex": "categorical", "height": "numeric", "weight": "numeric", "pulse": "numeric"}


def test_fuse_draws_the_other_tables_column_and_says_so() -> None:
    mixed = ts.mix(plan_of(halves(), KINDS, combine={"op": "fuse"}, lineage={"cell": ["origin"]}), seed=3)
    assert len(mixed.frame) == 400
    assert mixed.report["combine"]["drawn"] == ["weight", "pulse"]
    assert not mixed.mask["weight"].any()
    assert mixed.mask["height"].all()
    means = mixed.frame.groupby("sex")["weight"].mean()
    assert means["m"] - means["f"] == pytest.approx(13, abs=1.5)
    assert mixed.origin is not None
    assert set(mixed.origin["weight"]) == {"b"}


def test_drop_keeps_common_columns() -> None:
    mixed = ts.mix(plan_of(halves(), KINDS, combine={"on_missing_column": "drop"}))
    assert list(mixed.frame) == ["sex", "_source"]


def test_a_join_needs_a_link() -> None:
    with pytest.raises(InputError, match="linked rows"):
        ts.mix(plan_of(halves(), KINDS, combine={"op": "join"}))


def test_conflicts_go_to_the_rule_of_their_column() -> None:
    key = [f"k{i:03d}" for i in range(40)]
    tables = {
        "low": pd.DataFrame({"key": key, "income": np.arange(40.0), "score": np.arange(40.0)}),
        "high": pd.DataFrame({"key": key[:30], "income": np.arange(30.0) + 1, "score": np.arange(30.0) + 2}),
    }
    plan = plan_of(
        tables,
        {"key": "identifier", "income": "numeric", "score": "numeric"},
        trust={"low": 0.2, "high": 0.9},
        link={"engine": "exact", "fields": ["key"]},
        combine={"op": "join"},
        resolve={"default": "trust", "columns": {"score": "median"}},
        lineage={"cell": ["origin"]},
    )
    mixed = ts.mix(plan)
    frame = mixed.frame.sort_values("key").reset_index(drop=True)
    assert frame["income"].tolist() == [*(np.arange(30.0) + 1), *np.arange(30.0, 40.0)]
    assert frame["score"].tolist() == [*(np.arange(30.0) + 1), *np.arange(30.0, 40.0)]  # between n and n + 2
    assert mixed.report["combine"]["conflicts"]["income"]["conflicts"] == 30
    assert set(mixed.frame["_source"]) == {"low+high", "low"}


@given(
    st.lists(st.one_of(st.none(), st.integers(-9, 9), st.floats(-5, 5), st.booleans(), st.text(" abé1.0", max_size=4)))
)
@settings(deadline=None)
def test_codes_become_text_one_by_one_or_all_at_once(values: list[Any]) -> None:
    column = pd.Series(values, dtype=object)
    found = code_texts(column)
    assert found.where(found.notna(), None).tolist() == [None if v is None else code_text(v) for v in values]


def test_long_keys_keep_their_digits() -> None:
    """Seventeen digits are more than a float holds: two accounts must not become one."""
    one, other = 12345678901234567, 12345678901234568
    tables = {"a": pd.DataFrame({"account": [one, other]}), "b": pd.DataFrame({"account": [other, -9, -9]})}
    plan = plan_of(tables, {"account": "identifier"}, harmonise=[{"column": "account", "na": {"b": [-9]}}])
    assert ts.mix(plan).frame["account"].tolist() == [f"a:{one}", f"a:{other}", f"b:{other}", None, None]


def test_values_that_are_written_otherwise_do_not_conflict() -> None:
    tables = {
        "a": pd.DataFrame({"key": ["k1", "k2"], "grade": [1, 2]}),
        "b": pd.DataFrame({"key": ["k1", "k2"], "grade": ["1", "3"]}),
    }
    link = {"engine": "exact", "fields": ["key"]}
    plan = plan_of(tables, {"key": "identifier", "grade": "categorical"}, link=link, combine={"op": "join"})
    mixed = ts.mix(plan)
    assert mixed.report["combine"]["conflicts"]["grade"]["conflicts"] == 1
    assert mixed.frame["grade"].tolist() == ["1", "2"]


@pytest.mark.slow
def test_impute_fills_absent_columns() -> None:
    mixed = ts.mix(plan_of(halves(200), KINDS, combine={"on_missing_column": "impute"}))
    assert mixed.frame.notna().all().all()
    assert not mixed.mask["weight"].iloc[:200].any()

"""Every check of mixing detects its planted fault before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import DataError, InputError, PrivacyError
from tabsynth.mixing.inputs import frame_hash
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.result import Mixed


def people(n: int, seed: int, start: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "pid": [f"{start + i:05d}x" for i in range(n)],
            "age": rng.integers(20, 80, n),
            "sex": rng.choice(["f", "m"], n),
        }
    )


def plan_of(tables: dict[str, pd.DataFrame], map: list[dict[str, Any]], **parts: Any) -> Plan:
    inputs: dict[str, Any] = {name: {"sha256": frame_hash(frame)} for name, frame in tables.items()}
    for name, key in parts.pop("keys", {}).items():
        inputs[name]["key"] = key
    entries = [{"status": "accepted", **entry} for entry in map]
    return Plan.from_dict({"version": 1, "inputs": inputs, "map": entries, **parts}, tables=tables)


def same(column: str, tables: dict[str, pd.DataFrame], kind: str) -> dict[str, Any]:
    return {"to": column, "kind": kind, "from": {n: column for n, f in tables.items() if column in f}}


def joined(tables: dict[str, pd.DataFrame], **combine: Any) -> Plan:
    names = list(dict.fromkeys(name for frame in tables.values() for name in frame))
    kinds = {"pid": "identifier", "sex": "categorical"}
    entries = [same(name, tables, kinds.get(name, "numeric")) for name in names]
    link = {"engine": "exact", "fields": ["pid"], "one_to_one": False}
    return plan_of(tables, entries, link=link, combine={"op": "join", **combine})


def test_proposed_entries_are_not_applied() -> None:
    plan = ts.suggest({"a": people(60, 0), "b": people(60, 1)})
    with pytest.raises(InputError, match="still proposed"):
        ts.mix(plan)
    with pytest.raises(InputError, match="score below 1"):
        ts.mix(plan, accept_above=1.0)
    assert len(ts.mix(plan.accept()).frame) == 120


def test_rules_of_a_rejected_column_need_no_decision() -> None:
    a = people(60, 0)
    entries = [same("age", {"a": a}, "numeric"), {**same("sex", {"a": a}, "categorical"), "status": "rejected"}]
    codes = {"column": "sex", "values": {"f": "female"}, "status": "proposed"}
    assert list(ts.mix(plan_of({"a": a}, entries, harmonise=[codes])).frame) == ["age", "_source"]


def test_a_changed_input_stops_the_plan(tmp_path: Path) -> None:
    people(60, 0).to_csv(tmp_path / "a.csv", index=False)
    ts.suggest({"a": tmp_path / "a.csv"}).accept().save(tmp_path / "plan.yaml")
    assert len(ts.mix(tmp_path / "plan.yaml").frame) == 60
    people(60, 1).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="'a' has changed"):
        ts.mix(tmp_path / "plan.yaml")


def test_rows_that_would_multiply_are_counted_before_they_are_joined() -> None:
    a, b = people(300, 0), people(300, 1).rename(columns={"age": "weight"})[["pid", "weight"]]
    a["pid"], b["pid"] = "same", "same"
    with pytest.raises(DataError, match="90,000 rows") as caught:
        ts.mix(joined({"a": a, "b": b}, cardinality="m:n"))
    assert "max_growth" in str(caught.value)


def test_a_join_that_should_be_one_to_one_says_whose_rows_repeat() -> None:
    a, b = people(50, 0), people(50, 1)[["pid"]].assign(visit=range(50))
    b.loc[1, "pid"] = b.loc[0, "pid"]
    with pytest.raises(DataError, match="'b' have several rows"):
        ts.mix(joined({"a": a, "b": b}))
    assert len(ts.mix(joined({"a": a, "b": b}, cardinality="1:n")).frame) == 51


@pytest.mark.parametrize("nothing", [None, "", "unknown", "N/A"])
def test_missing_and_placeholder_keys_join_nothing(nothing: str | None) -> None:
    a, b = people(40, 0), people(40, 0)[["pid"]].assign(visit=range(40))
    a.loc[:9, "pid"] = nothing
    b.loc[:9, "pid"] = nothing
    mixed = ts.mix(joined({"a": a, "b": b}))
    assert len(mixed.frame) == 30 + 10 + 10


def test_text_among_numbers_is_an_error_unless_a_budget_allows_it() -> None:
    a, b = people(60, 0), people(60, 1).astype({"age": object})
    b.loc[3, "age"] = "forty"
    entry = same("age", {"a": a, "b": b}, "numeric")
    with pytest.raises(DataError, match=r"b\.age: 1 of 60 values are not numbers, such as 'forty'"):
        ts.mix(plan_of({"a": a, "b": b}, [entry]))
    allowed = plan_of({"a": a, "b": b}, [entry], harmonise=[{"column": "age", "budget": 0.02}])
    mixed = ts.mix(allowed)
    assert mixed.frame["age"].isna().sum() == 1
    assert mixed.report["columns"]["age"]["from"]["b"]["unread"] == "fewer than 5"


def test_day_and_month_are_never_guessed() -> None:
    a = pd.DataFrame({"seen": ["01/02/2020", "03/04/2021"] * 10})
    entry = {"to": "seen", "kind": "datetime", "from": {"a": "seen"}}
    with pytest.raises(DataError, match="fits both %d/%m/%Y and %m/%d/%Y"):
        ts.mix(plan_of({"a": a}, [entry]))
    plan = plan_of({"a": a}, [entry], harmonise=[{"column": "seen", "dates": {"a": "%m/%d/%Y"}}])
    assert ts.mix(plan).frame["seen"].iloc[0] == pd.Timestamp("2020-01-02")


def test_dates_of_another_format_are_no_silent_gaps() -> None:
    a = pd.DataFrame({"seen": ["13/02/2020"] * 19 + ["02/13/2020"]})
    entry = {"to": "seen", "kind": "datetime", "from": {"a": "seen"}}
    dates = {"column": "seen", "dates": {"a": "%d/%m/%Y"}}
    with pytest.raises(DataError, match="1 of 20 values are not dates"):
        ts.mix(plan_of({"a": a}, [entry], harmonise=[dates]))
    assert ts.mix(plan_of({"a": a}, [entry], harmonise=[{**dates, "budget": 0.05}])).frame["seen"].isna().sum() == 1


def test_local_keys_of_two_sites_do_not_collide() -> None:
    tables = {"a": people(50, 0), "b": people(50, 1)}
    entries = [same("pid", tables, "identifier"), same("age", tables, "numeric")]
    mixed = ts.mix(plan_of(tables, entries, keys={"a": ["pid"], "b": ["pid"]}))
    assert mixed.frame["pid"].is_unique
    assert mixed.frame["pid"].iloc[0] == "a:00000x"
    assert mixed.lineage["_entity"].is_unique


def test_a_code_without_a_meaning_is_an_error() -> None:
    a = people(60, 0)
    codes = {"column": "sex", "values": {"a": {"f": "female"}}}
    with pytest.raises(DataError, match=r"1 codes have no meaning in the plan, such as 'm'"):
        ts.mix(plan_of({"a": a}, [same("sex", {"a": a}, "categorical")], harmonise=[codes]))


def test_one_code_with_two_meanings_is_an_error() -> None:
    a, b = people(60, 0), people(60, 1)
    a["sex"], b["sex"] = a["sex"].map({"f": 1, "m": 2}), b["sex"].map({"f": 2, "m": 1})
    tables = {"a": a, "b": b}
    codes = {"column": "sex", "values": {"b": {2: 1, 1: 2}}}
    entry = same("sex", tables, "categorical")
    with pytest.raises(DataError, match="'b', but is not mapped in 'a'"):
        ts.mix(plan_of(tables, [entry], harmonise=[codes]))
    with pytest.raises(InputError, match="means both 1 and 3"):
        plan_of(tables, [entry], harmonise=[codes, {"column": "sex", "values": {"b": {2: 3}}}])
    swapped = {"column": "sex", "values": {"a": {1: "f", 2: "m"}, "b": {2: "f", 1: "m"}}}
    assert set(ts.mix(plan_of(tables, [entry], harmonise=[swapped])).frame["sex"]) == {"f", "m"}


def test_values_outside_the_range_fail_unless_made_missing() -> None:
    a = people(60, 0)
    bounds: dict[str, Any] = {"column": "age", "range": [0, 50]}
    entry = same("age", {"a": a}, "numeric")
    with pytest.raises(DataError, match="values are outside 0 to 50"):
        ts.mix(plan_of({"a": a}, [entry], harmonise=[bounds]))
    mixed = ts.mix(plan_of({"a": a}, [entry], harmonise=[{**bounds, "outside": "missing"}]))
    assert mixed.frame["age"].max() <= 50


def test_a_person_is_in_training_or_holdout_and_never_in_both() -> None:
    a, b = people(80, 0), people(80, 1)
    tables = {"a": a, "b": b}
    entries = [same(name, tables, kind) for name, kind in (("pid", "identifier"), ("age", "numeric"))]
    mixed = ts.mix(plan_of(tables, entries, link={"engine": "exact", "fields": ["pid"]}))
    held = mixed.split(0.25, seed=1)
    assert 0.2 < held.mean() < 0.3
    assert not set(mixed.frame["pid"][held]) & set(mixed.frame["pid"][~held])
    assert "2 rows" in mixed.report["privacy"]


def union_of_two() -> Mixed:
    tables = {"a": people(60, 0), "b": people(60, 1).drop(columns="sex")}
    return ts.mix(plan_of(tables, [same("age", tables, "numeric"), same("sex", tables, "categorical")]))


def test_lineage_stays_unless_it_is_published(tmp_path: Path) -> None:
    mixed = union_of_two()
    with pytest.raises(PrivacyError, match="publish: true"):
        mixed.save(tmp_path / "m.parquet", lineage=tmp_path / "l.csv")
    assert list(tmp_path.iterdir()) == []  # nothing was written
    mixed.save(tmp_path / "m.parquet")
    assert not {"_row", "_entity", "_weight"} & set(ts.read(tmp_path / "m.parquet").frame)
    replace(mixed, publish=True).save(tmp_path / "m.parquet", lineage=tmp_path / "l.csv")
    assert (tmp_path / "l.csv").is_file()


def test_absent_is_not_missing() -> None:
    mixed = union_of_two()
    assert mixed.mask["sex"].tolist() == [True] * 60 + [False] * 60
    assert mixed.frame["sex"].isna().tolist() == [False] * 60 + [True] * 60
    model = ts.MaskedSynthesizer(epochs=2).fit(mixed.frame, schema=mixed.schema, mask=mixed.mask, seed=0)
    assert model.sample(40, given={"_source": "b"}, seed=1)["sex"].notna().all()  # learned from a alone


def test_the_report_contains_no_rare_value() -> None:
    a = people(60, 0)
    a.loc[0, "sex"] = "x"
    codes = {"column": "sex", "values": {"a": {"f": "female", "m": "male", "x": "intersex-rare"}}}
    mixed = ts.mix(plan_of({"a": a}, [same("sex", {"a": a}, "categorical")], harmonise=[codes]))
    assert "intersex-rare" in set(mixed.frame["sex"])
    assert "intersex" not in json.dumps(mixed.report, default=str)
    assert "female" in json.dumps(mixed.report, default=str)


def test_raked_rows_carry_their_weights() -> None:
    a = people(200, 0)
    weights = {"method": "rake", "margins": {"sex": {"f": 0.3, "m": 0.7}}}
    mixed = ts.mix(plan_of({"a": a}, [same("sex", {"a": a}, "categorical")], weights=weights))
    assert np.average(mixed.frame["sex"] == "f", weights=mixed.weights) == pytest.approx(0.3, abs=1e-3)
    assert mixed.weights.mean() == pytest.approx(1)

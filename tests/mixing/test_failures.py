"""Every failure of mixing planted in files: ``mix apply`` says which it is, ends with 2 and writes nothing.

=============================================== ======================================================================
failure                                         guard
=============================================== ======================================================================
an entry that nobody decided                    ``decided``: still proposed
an input that changed since the review          ``load_inputs``: SHA-256
rows of a key in several sources multiply       ``exact.check_growth``: max_growth, before the join
a join that is not 1:1                          ``exact.check_growth``: cardinality
a key that means "not known"                   ``exact.codes``: placeholders join nothing; ``link``: heavy keys alarm
records chained into one person                 ``cluster``: one record of a source; ``link``: the size of groups alarms
text among numbers, dates among numbers         ``harmonise``: strict parse with a budget of failures
ambiguous day and month                         ``harmonise``: the format must be named
dates of a second format                        ``harmonise``: strict parse with a budget of failures
a code without a meaning                        ``harmonise``: unmapped fails
a code that means two things                    ``check_codes`` across sources, ``meanings`` within the plan
a number in another unit                        ``harmonise``: range
margins that the rows cannot meet               ``rake``: min_ess
lineage that should stay                        ``Mixed.save``: publish
=============================================== ======================================================================

That local ids do not collide, that absent is not missing and that no person is split is held in ``test_guards``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli import main
from tabsynth.data.provenance import file_hash
from tabsynth.mixing.plan.plan import Plan

from .people import registers

Case = tuple[dict[str, pd.DataFrame], dict[str, str], dict[str, Any]]
"""Tables, kinds of their columns, and the other parts of the plan."""

EXACT = {"engine": "exact", "fields": ["pid"], "one_to_one": False}
KINDS = {"pid": "identifier", "age": "numeric", "sex": "categorical", "visit": "numeric"}


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ids = [f"{i:05d}x" for i in range(n)]
    return pd.DataFrame({"pid": ids, "age": rng.integers(20, 80, n), "sex": rng.choice(["f", "m"], n)})


def visits(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed)[["pid"]].assign(visit=range(n))


def undecided() -> Case:
    return {"a": people(40, 0)}, KINDS, {"status": "proposed"}


def multiplied() -> Case:
    tables = {"a": people(300, 0).assign(pid="same7"), "b": visits(300, 1).assign(pid="same7")}
    return tables, KINDS, {"link": {**EXACT, "alarms": "report"}, "combine": {"op": "join", "cardinality": "m:n"}}


def repeated() -> Case:
    b = visits(50, 1)
    b.loc[1, "pid"] = b.loc[0, "pid"]
    return {"a": people(50, 0), "b": b}, KINDS, {"link": EXACT, "combine": {"op": "join"}}


def heavy_key() -> Case:
    """A placeholder that no list knows, in two sources whose rows are put below each other."""
    tables = {"a": people(200, 0), "b": people(200, 1)}
    for frame in tables.values():
        frame.loc[:19, "pid"] = "see file"
    return tables, KINDS, {"link": dict(EXACT)}


def heavy_local_key() -> Case:
    a = people(200, 0)
    a.loc[:19, "pid"] = "see file"
    return {"a": a, "b": people(150, 1)}, KINDS, {"link": {**EXACT, "one_to_one": True}, "keys": ["pid"]}


def chained() -> Case:
    """Twelve test records in each source that are all alike, among people that link well."""
    tables = registers({"a": 120, "b": 120}, shared=60)
    for frame in tables.values():
        frame.loc[:11, ["given", "family", "postcode", "born"]] = ["jane", "doe", "1111x", "1999-01-02"]
    kinds = dict.fromkeys(("given", "family", "postcode", "born"), "text")
    fields = list(kinds)
    return tables, kinds, {"link": {"engine": "clk", "fields": fields, "threshold": 0.9}}


def text_among_numbers() -> Case:
    a = people(60, 0).astype({"age": object})
    a.loc[3, "age"] = "forty"
    return {"a": a}, KINDS, {}


def dates_among_numbers() -> Case:
    return {"a": people(60, 0), "b": people(60, 1).assign(age="2020-01-05")}, KINDS, {}


def day_or_month() -> Case:
    return {"a": pd.DataFrame({"seen": ["01/02/2020", "03/04/2021"] * 10})}, {"seen": "datetime"}, {}


def second_format() -> Case:
    a = pd.DataFrame({"seen": ["13/02/2020"] * 19 + ["02/13/2020"]})
    return {"a": a}, {"seen": "datetime"}, {"harmonise": [{"column": "seen", "dates": {"a": "%d/%m/%Y"}}]}


def no_meaning() -> Case:
    return {"a": people(60, 0)}, KINDS, {"harmonise": [{"column": "sex", "values": {"a": {"f": "female"}}}]}


def two_meanings() -> Case:
    tables = {"a": people(60, 0), "b": people(60, 1)}
    for frame in tables.values():
        frame["sex"] = frame["sex"].map({"f": 1, "m": 2})
    return tables, KINDS, {"harmonise": [{"column": "sex", "values": {"b": {"2": 1, "1": 2}}}]}


def another_unit() -> Case:
    a = people(60, 0)
    a.loc[5, "age"] = 412
    return {"a": a}, KINDS, {"harmonise": [{"column": "age", "range": [0, 120]}]}


def nobody_to_weigh() -> Case:
    a = people(400, 0).assign(sex=["m"] * 396 + ["f"] * 4)
    return {"a": a}, KINDS, {"weights": {"method": "rake", "margins": {"sex": {"f": 0.5, "m": 0.5}}, "cap": 200}}


FAILURES = [
    (undecided, "still proposed"),
    (multiplied, "would produce 90,000 rows"),
    (repeated, "'b' have several rows of one key"),
    (heavy_key, "one key of 'a' has 20 rows"),
    (heavy_local_key, "one key of 'a' has 20 rows"),
    (chained, "linked records are connected in groups of up to 24"),
    (text_among_numbers, "such as 'forty'"),
    (dates_among_numbers, "contains dates, but the plan declares it numeric"),
    (day_or_month, "fits both %d/%m/%Y and %m/%d/%Y"),
    (second_format, "1 of 20 values are not dates"),
    (no_meaning, "no meaning in the plan, such as 'm'"),
    (two_meanings, "is not mapped in 'a'"),
    (another_unit, "are outside 0 to 120"),
    (nobody_to_weigh, "below min_ess"),
]


def planted(folder: Path, case: Case) -> Path:
    """Write the tables and the plan."""
    tables, kinds, parts = case
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    status, keys = parts.pop("status", "accepted"), parts.pop("keys", [])
    columns = [column for column in kinds if any(column in frame for frame in tables.values())]
    entries = [
        {"to": c, "kind": kinds[c], "from": {n: c for n, f in tables.items() if c in f}, "status": status}
        for c in columns
    ]
    inputs = {n: {"uri": f"{n}.csv", "sha256": file_hash(folder / f"{n}.csv"), "key": keys} for n in tables}
    Plan.from_dict({"version": 1, "inputs": inputs, "map": entries, **parts}, folder=folder).save(folder / "plan.yaml")
    return folder / "plan.yaml"


@pytest.mark.parametrize(("case", "said"), FAILURES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_failure_stops_and_nothing_is_written(
    case: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planted(tmp_path, case())
    before = sorted(tmp_path.iterdir())
    outputs = ["--output", str(tmp_path / "mixed.parquet"), "--report", str(tmp_path / "mixed.json")]
    assert main(["mix", "apply", str(plan), *outputs]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_changed_input_and_a_lineage_that_should_stay_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planted(tmp_path, ({"a": people(40, 0)}, KINDS, {}))
    before = sorted(tmp_path.iterdir())
    line = ["mix", "apply", str(plan), "--output", str(tmp_path / "mixed.csv"), "--lineage", str(tmp_path / "l.csv")]
    assert main(line) != 0
    assert "publish: true" in capsys.readouterr().err
    people(40, 1).to_csv(tmp_path / "a.csv", index=False)
    assert main(line[:5]) == 2
    assert "'a' has changed" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("case", [heavy_key, heavy_local_key, chained])
def test_an_accepted_alarm_is_reported(case: Any, tmp_path: Path) -> None:
    tables, kinds, parts = case()
    parts["link"]["alarms"] = "report"
    mixed = ts.mix(planted(tmp_path, (tables, kinds, parts)))
    assert len(mixed.report["link"]["alarms"]) >= 1
    assert "row " not in " ".join(mixed.report["link"]["alarms"])


def test_a_placeholder_that_is_named_joins_nothing(tmp_path: Path) -> None:
    tables, kinds, parts = heavy_local_key()
    plan = Plan.load(planted(tmp_path, (tables, kinds, parts))).to_dict()
    plan["inputs"]["a"]["na"] = {"pid": ["see file"]}
    mixed = ts.mix(Plan.from_dict(plan, folder=tmp_path))
    assert mixed.report["link"]["alarms"] == []
    assert mixed.report["link"]["null_keys"]["a"] == 20
    del plan["map"][0]  # the key is not a column of the mixed table: what is named under na holds all the same
    plan["link"] = {"engine": "none"}
    assert ts.mix(Plan.from_dict(plan, folder=tmp_path)).report["link"]["null_keys"]["a"] == 20

"""Rules of a table are suggested in the form of a schema, and no others are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.cli import main
from tabsynth.data.table import Table
from tabsynth.relations.declared.suggestion import suggest_constraints
from tabsynth.schema import Schema


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 800
    begin = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 30, n), "D")
    city = rng.choice(["Bern", "Basel", "Oslo"], n)
    net, tax = np.round(rng.lognormal(4, 0.6, n), 2), np.round(rng.lognormal(2, 0.6, n), 2)
    return pd.DataFrame(
        {
            "begin": begin,
            "end": begin + pd.to_timedelta(rng.integers(0, 20, n), "D"),
            "city": city,
            "country": np.where(city == "Oslo", "NO", "CH"),
            "net": net,
            "tax": tax,
            "total": np.round(net + tax, 2),
            "noise": rng.normal(size=n).round(2),
        }
    )


def test_rules_are_proposed_as_constraints() -> None:
    found = [rule.to_dict() for rule in suggest_constraints(Table.of(table()))]
    assert {"kind": "order", "sequence": ["begin", "end"]} in found
    lookup = {"Basel": "CH", "Bern": "CH", "Oslo": "NO"}
    assert {"kind": "lookup", "column": "country", "by": "city", "values": lookup} in found
    sums = [set(rule["terms"]) | {rule["column"]} for rule in found if rule["kind"] == "linear"]
    assert sums == [{"net", "tax", "total"}]
    assert not any("noise" in json.dumps(rule) for rule in found)
    Schema.from_dict({**Schema.infer(table()).to_dict(), "constraints": found})


def test_inspect_prints_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table().to_csv(tmp_path / "t.csv", index=False)
    assert main(["inspect", str(tmp_path / "t.csv"), "--suggest-rules", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    schema = {**printed["schema"], "constraints": printed["suggested_rules"]}
    assert len(Schema.from_dict(schema).constraints) >= 3

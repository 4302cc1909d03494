from __future__ import annotations

import inspect
from pathlib import Path

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import SchemaError


def visits() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient": [f"p{row // 3:03}" for row in range(120)],
            "ward": ["eye", "ear", "heart"] * 40,
            "died": ["no"] * 105 + ["yes"] * 15,
        }
    )


def test_a_corrected_schema_keeps_the_rows_of_a_person_together(tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    visits().to_csv(path, index=False)
    schema = ts.read(path).schema.replace("patient", kind="identifier", role="person")
    for table in (path, ts.read(path), visits()):
        train, holdout = ts.split(table, 0.2, schema=schema, seed=0)
        assert not set(train.frame["patient"]) & set(holdout.frame["patient"])
        assert train.schema["patient"].role == "person"


def test_the_target_of_the_schema_stratifies_by_default() -> None:
    schema = ts.Schema.infer(visits()).replace("died", role="target")
    for seed in range(8):  # 15 of 120 die: a fifth of them is three
        holdout = ts.split(visits(), 0.2, schema=schema, seed=seed)[1].frame
        assert (holdout["died"] == "yes").sum() == 3
        assert holdout.equals(ts.split(visits(), 0.2, seed=seed, target="died")[1].frame)


def test_a_schema_of_another_table_is_refused() -> None:
    with pytest.raises(SchemaError, match="patient"):
        ts.split(visits(), schema=ts.Schema.infer(visits().rename(columns={"patient": "person"})))


def test_notebooks_show_the_arguments_of_tune() -> None:
    assert [*inspect.signature(ts.tune).parameters][:2] == ["data", "model"]

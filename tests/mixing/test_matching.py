"""Suggested matches of columns, and questions about columns that are missing from a source."""

from __future__ import annotations

import numpy as np
import pandas as pd

import tabsynth as ts


def test_columns_of_text_match_by_their_values_under_other_names() -> None:
    names, towns = [f"name{i}" for i in range(120)], [f"town{i}" for i in range(90)]
    rng = np.random.default_rng(3)
    here = pd.DataFrame({"given_name": rng.choice(names, 300), "suburb": rng.choice(towns, 300)})
    there = pd.DataFrame({"Ort": np.char.upper(rng.choice(towns, 200)), "Vorname": rng.choice(names, 200)})
    matched = {match.to: match.sources for match in ts.suggest({"a": here, "b": there}).map}
    assert matched == {
        "given_name": {"a": ("given_name",), "b": ("Vorname",)},
        "suburb": {"a": ("suburb",), "b": ("Ort",)},
    }
    strangers = pd.DataFrame({"Ort": [f"x{i}" for i in range(200)], "Vorname": [f"y{i}" for i in range(200)]})
    assert len(ts.suggest({"a": here, "b": strangers}).map) == 4


def test_a_missing_column_is_sought_among_columns_of_its_kind() -> None:
    dates = pd.Series(pd.date_range("1950-01-01", periods=60, freq="97D"))
    rng = np.random.default_rng(4)
    frames = {
        "a": pd.DataFrame({"born": dates.dt.strftime("%Y%m%d")}),
        "b": pd.DataFrame({"born": dates.dt.strftime("%Y%m%d")}),
        "c": pd.DataFrame({"Geburt": dates.dt.strftime("%d.%m.%Y"), "Note": ["ab", "cd"] * 30}),
    }
    plan = ts.suggest({name: frame.assign(k=rng.normal(150, 27, 60)) for name, frame in frames.items()})
    question = next(match.question for match in plan.map if match.to == "born")
    assert "c has no such column, unless it is c.Geburt: is it?" in question

"""Summary statistics, correlation matrices and closest records: right figures, and none of single rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.rendering import projection
from tabsynth.evaluation.rendering.closest_records import closest_record_distances
from tabsynth.evaluation.rendering.column_summary import column_summary
from tabsynth.evaluation.rendering.correlations import correlation_matrices
from tabsynth.evaluation.rendering.summary_tables import summary_tables
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.evaluation.verdict import assess_uses, recommend
from tabsynth.reporting import maps
from tabsynth.schema import Schema

N = 300
KINDS = {"x": "numeric", "y": "numeric", "seen": "datetime", "flag": "boolean", "city": "categorical"}
SCHEMA = Schema.from_dict({"columns": {name: {"kind": kind, "nullable": True} for name, kind in KINDS.items()}})


def table(seed: int, slope: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 10, N).round(3)
    return pd.DataFrame(
        {
            "x": np.where(rng.random(N) < 0.1, np.nan, x),
            "y": (slope * x + rng.normal(0, 5, N)).round(3),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, N), unit="D"),
            "flag": x > 50,
            "city": [*rng.choice(["Ulm", "Bonn"], N - 2), "Rare one", "Rare two"],
        }
    )


REAL, SAME, OTHER = encode_tables([table(1), table(2), table(3, -1.0)], SCHEMA)


def test_summary_statistics() -> None:
    frame = table(1)
    entries = {entry["name"]: entry for entry in column_summary(REAL, SAME, SCHEMA)}
    x = entries["x"]["real"]
    assert x["count"] == frame["x"].notna().sum()
    assert x["missing"] == pytest.approx(100 * frame["x"].isna().mean(), abs=1e-3)
    assert x["distinct"] == frame["x"].nunique()
    assert x["mean"] == pytest.approx(frame["x"].mean(), rel=1e-4)
    assert x["sd"] == pytest.approx(frame["x"].std(ddof=0), rel=1e-4)
    assert x["quantiles"] == pytest.approx(frame["x"].quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist(), abs=0.6)
    assert entries["seen"]["real"]["quantiles"][2].startswith("2020-1")
    assert {label for label, _ in entries["city"]["real"]["top"]} == {"Ulm", "Bonn"}


def test_no_figure_is_the_value_of_few_rows() -> None:
    """Values that one row has are in no text of the page's data."""
    rows = np.random.default_rng(0).lognormal(5, 2, N)
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}, "name": {"kind": "categorical"}}})
    frame = pd.DataFrame({"x": rows, "name": [f"n{i}" for i in range(N)]})
    encoded = encode_tables([frame, frame], schema)
    text = json.dumps(column_summary(encoded[0], encoded[1], schema))
    assert not [value for value in rows if f"{value:.5g}" in text.replace("[", " ").replace(",", " ").split()]
    assert '"top": []' in text


def test_columns_with_few_values_have_no_quantiles() -> None:
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric", "nullable": True}}})
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5] + [None] * 30})
    encoded = encode_tables([frame, frame], schema)
    entries = column_summary(encoded[0], encoded[1], schema)
    assert entries[0]["real"]["quantiles"] is None
    tables = summary_tables(entries)
    assert tables is not None
    assert tables["numbers"][0]["real"] == ["3", "90.9 %", "3", *["–"] * 7]


def test_correlations_and_the_pairs_that_differ_most() -> None:
    data = correlation_matrices(REAL, OTHER, SAME)
    assert data is not None
    assert data["names"] == ["x", "y", "seen", "flag"]
    assert data["real"][0][1] == pytest.approx(table(1)[["x", "y"]].corr().iloc[0, 1], abs=1e-3)
    assert data["largest"][0]["columns"] == ["x", "y"]
    assert data["largest"][0]["synthetic"] < -0.8
    assert data["floor"] < 0.1 < data["difference"]
    drawn = maps.correlations(data)
    assert drawn is not None
    assert drawn["largest"][0]["synthetic"].startswith("−0.")
    assert drawn["maps"][2]["negative"]


def test_copies_are_closer_than_held_out_rows() -> None:
    data = closest_record_distances(REAL, REAL, SAME, np.random.default_rng(0))
    assert data is not None
    assert data["synthetic"][0] == 100
    assert data["synthetic_median"] == 0 < data["holdout_median"]
    assert sum(data["holdout"]) == pytest.approx(100, abs=0.1)
    assert closest_record_distances(REAL, SAME, None, np.random.default_rng(0)) is None


def test_the_recommendation_names_every_use_and_findings_limit_it() -> None:
    facts = {"value": 1.0, "interval": (0.5, 1.5), "better": "lower", "target": 0.0, "floor": 1.0, "unit": "%"}
    scores = {name: Score(name=name, **facts) for name in ("rounding_error", "subgroup_error")}
    assert recommend(assess_uses(scores), {}) == "Suitable for software testing and subgroup analysis."
    uses = assess_uses(scores, [{"score": "value_format"}])
    assert recommend(uses, {}) == "Suitable for subgroup analysis; with caution for software testing."
    assert recommend(uses, {"memorisation": "poor"}).startswith("Audit this table before any use")
    fair = recommend(assess_uses(scores), {"memorisation": "fair"})
    assert fair.startswith("Suitable for software testing")
    assert fair.endswith("Audit the table before you share it outside.")
    assert "copied" not in fair
    assert recommend([], {}) == ""


def test_principal_directions_of_wide_tables_are_those_of_the_full_decomposition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 40)) * np.r_[9, 5, np.ones(38)]
    full = projection._principal_directions(rows)
    monkeypatch.setattr(projection, "MAX_DENSE_FEATURES", 20)
    some = projection._principal_directions(rows)
    assert some[0] == pytest.approx(full[0][:2])
    assert np.abs(some[1] @ full[1][:2].T) == pytest.approx(np.eye(2), abs=1e-6)
    assert some[2] == full[2] == pytest.approx((full[0] ** 2).sum())

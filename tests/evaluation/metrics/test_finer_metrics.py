"""Detailed scores on cases with known answers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabsynth.errors import DataError, SchemaError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.metrics.data_quality import quality_scores
from tabsynth.evaluation.metrics.dependence import dependence_scores, shared_information
from tabsynth.evaluation.metrics.diversity import diversity_scores
from tabsynth.evaluation.metrics.fairness import parity_score, sensitive_groups
from tabsynth.evaluation.metrics.missingness import missingness_scores
from tabsynth.evaluation.metrics.regression_inference import inference_score
from tabsynth.evaluation.metrics.subgroups import subgroup_scores
from tabsynth.evaluation.metrics.tails import tail_scores
from tabsynth.evaluation.metrics.utility import prediction_task
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.evaluation.stats.table_comparison import Comparison
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "x": {"kind": "numeric", "nullable": True},
            "y": {"kind": "numeric"},
            "k": {"kind": "categorical", "role": "sensitive"},
            "out": {"kind": "categorical", "role": "target"},
        }
    }
)


def people(n: int, seed: int, effect: float = 1.0, gap: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=n)
    k = rng.choice(["a", "b"], n)
    out = rng.random(n) < np.clip(0.5 + 0.2 * effect * x + gap * ((k == "a") - 0.5), 0, 1)
    x = np.where(rng.random(n) < 0.1, np.nan, x)
    return pd.DataFrame({"x": x, "y": y, "k": k, "out": np.where(out, "1", "0")})


def compared(*frames: pd.DataFrame) -> tuple[Comparison, list[EncodedTable]]:
    tables = encode_tables(frames, SCHEMA)
    return Comparison.of(tables[0], tables[1], tables[2], np.random.default_rng(0)), tables


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def test_a_table_against_itself_is_nought_everywhere() -> None:
    frame = people(800, 0)
    comparison, (real, synthetic, held_out) = compared(frame, frame.sample(frac=1, random_state=1), people(800, 1))
    rng = np.random.default_rng(0)
    scores = dependence_scores(comparison) + missingness_scores(comparison) + tail_scores(comparison)
    scores += subgroup_scores(comparison, ["k"])
    scores += [s for s in diversity_scores(real, synthetic, held_out, comparison, rng) if s.name == "entropy_error"]
    assert len(scores) == 8
    for score in scores:
        assert score.value == pytest.approx(0, abs=1e-9), score.name
        assert score.floor is not None
        assert score.floor > 0
        assert score.interval is not None
        assert score.interval[0] <= score.value <= score.interval[1]


def test_information_is_one_for_a_copy_and_nought_for_noise() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 5, 5000), rng.integers(1, 5, 5000)
    assert shared_information(a, a, (5, 5)) == pytest.approx(1, abs=0.01)
    assert shared_information(a, b, (5, 5)) < 0.003


def test_values_missing_in_one_table_only_are_found() -> None:
    full = people(800, 1).fillna({"x": 0.0})
    comparison, _ = compared(people(800, 0), full, people(800, 2))
    scores = by_name(missingness_scores(comparison))
    assert scores["missing_pattern_error"].value == pytest.approx(10, abs=4)
    assert scores["missing_relation_error"].value == 100
    assert missingness_scores(compared(full, full, full)[0]) == []


def test_conclusions_are_kept_or_lost() -> None:
    kinds = {name: {"kind": "numeric"} for name in "abcd"} | {"out": {"kind": "categorical", "role": "target"}}
    schema = Schema.from_dict({"columns": kinds})

    def draw(seed: int, sign: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(3000, 4))
        out = rng.random(3000) < 1 / (1 + np.exp(-sign * x.sum(axis=1) / 2))
        return pd.DataFrame(x, columns=list("abcd")).assign(out=np.where(out, "yes", "no"))

    rng = np.random.default_rng(0)
    for sign, kept in ((1.0, 100.0), (-1.0, 0.0), (0.0, 0.0)):
        real, synthetic, held_out = encode_tables([draw(0, 1.0), draw(1, sign), draw(2, 1.0)], schema)
        score = inference_score(real, synthetic, held_out, prediction_task(real, "out"), rng)
        assert score is not None
        assert (score.value, score.floor) == (kept, 100.0)


def test_a_parity_gap_that_grew_is_measured() -> None:
    comparison, tables = compared(people(4000, 0), people(4000, 1, gap=0.6), people(4000, 2))
    groups = sensitive_groups(tables[0], ["k", "missing"])
    assert [group.labels for group in groups] == [("k = a", "k = b")] or len(groups[0].labels) == 2
    score = parity_score(comparison, prediction_task(tables[0], "out"), groups)
    assert score.value == pytest.approx(30, abs=8)
    assert score.floor is not None
    assert score.floor < 6


def test_quality_of_a_table_that_breaks_its_schema() -> None:
    schema = Schema.from_dict(
        {
            "columns": {
                "id": {"kind": "identifier"},
                "age": {"kind": "numeric", "low": 0, "high": 120},
                "sex": {"kind": "categorical", "values": ["f", "m"]},
                "start": {"kind": "datetime", "format": "%Y-%m-%d"},
                "end": {"kind": "datetime", "format": "%Y-%m-%d"},
            },
            "constraints": [{"kind": "inequality", "low": "start", "high": "end"}],
        }
    )
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "b", "d"],
            "age": [30, 130, 40, 40],
            "sex": ["f", "x", None, None],
            "start": ["2020-01-01", "2020-01-01", "2020-05-01", "2020-05-01"],
            "end": ["2020-02-01", "2019-01-01", "2090-01-01", "2090-01-01"],
        }
    )
    scores = by_name(quality_scores(frame, schema, today=datetime(2030, 1, 1)))
    assert {name: round(score.value, 1) for name, score in scores.items()} == {
        "real_completeness": 90.0,
        "real_validity": round(100 * 16 / 18, 1),
        "real_consistency": 75.0,
        "real_uniqueness": 75.0,
        "real_timeliness": 75.0,
    }
    assert scores["real_validity"].detail[0].columns == ("sex",)
    with pytest.raises(DataError, match="no rows"):
        quality_scores(frame[:0], schema)
    with pytest.raises(SchemaError, match="are missing from the table: 'age'"):
        quality_scores(frame.drop(columns="age"), schema)


def test_a_table_beyond_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.parquet"
    block = pa.table({f"x{i}": pa.nulls(10**6, pa.string()) for i in range(9)})
    with pq.ParquetWriter(path, block.schema) as writer:
        for _ in range(50):
            writer.write_table(block)
    with pytest.raises(DataError, match=r"the synthetic table has 50,000,000 rows of 9 columns.*file_fidelity"):
        evaluate(pd.DataFrame({f"x{i}": ["a"] for i in range(9)}), path)

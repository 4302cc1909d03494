"""Utility of few rows: judged against what resampled real rows reach."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.evaluation.metrics.utility import utility_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.evaluation.verdict import assess_uses, level_of
from tabsynth.schema import Schema

Real = tuple[pd.DataFrame, Schema]


def _utility_gap(frame: pd.DataFrame, synthetic: pd.DataFrame | None, schema: Schema, seed: int) -> Score:
    """Return the gap of a table, or of a second third of the real rows, to a third of the real rows."""
    rng = np.random.default_rng(seed)
    thirds = np.array_split(rng.permutation(len(frame)), 3)
    train, other, holdout = (frame.iloc[rows].reset_index(drop=True) for rows in thirds)
    tables = encode_tables([train, other if synthetic is None else synthetic, holdout], schema)
    return utility_scores(*tables, "target", rng)[0][1]


def test_a_third_of_the_real_rows_is_suitable_for_training(diabetes: Real) -> None:
    gaps = [_utility_gap(diabetes[0], None, diabetes[1], seed) for seed in range(6)]
    assert [level_of(gap) for gap in gaps] == ["good"] * 6
    assert any(gap.beside == "resampled real rows" for gap in gaps)  # some gaps of 147 rows exceed the test noise


def test_a_table_of_independent_columns_is_not_suitable_for_training(diabetes: Real) -> None:
    frame, schema = diabetes
    rng = np.random.default_rng(0)
    independent = pd.DataFrame({name: rng.permutation(frame[name]) for name in frame})
    gap = _utility_gap(frame, independent, schema, 0)
    (use,) = [use for use in assess_uses({"utility_gap": gap}) if use["use"] == "Model training"]
    assert use["word"] == "not suitable"
    assert gap.floor is not None
    assert 0 <= gap.floor < gap.value / 2

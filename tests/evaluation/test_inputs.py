"""Tables of a comparison that the schema, or the way they were read, does not quite describe."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.schema import Schema


def test_values_outside_the_schema_are_scored_not_refused() -> None:
    schema = Schema.from_dict(
        {"columns": {"x": {"kind": "numeric", "low": 0, "high": 1}, "k": {"kind": "categorical", "values": ["a", "b"]}}}
    )
    real = pd.DataFrame({"x": np.linspace(0, 1, 60), "k": ["a", "b"] * 30})
    synthetic = real.assign(x=real["x"] + 5, k=["a", "c"] * 30)
    report = evaluate(real, synthetic, schema=schema, sdmetrics=False)
    assert {part.name: round(part.value) for part in report.scores["shape_error"].detail} == {"x": 100, "k": 50}
    with pytest.warns(UserWarning, match="the training table: column 'x': .*compared as they are"):
        back = evaluate(synthetic, real, schema=schema, sdmetrics=False, quick=True)
    assert {part.name: round(part.value) for part in back.scores["shape_error"].detail} == {"x": 100, "k": 50}


def test_codes_without_leading_zeros_agree_with_those_that_have_some() -> None:
    # A CSV file of codes without leading zeros is read as integers.
    codes = pd.DataFrame({"zip": ["02186", "12345", "23456", "Other"] * 10, "n": range(40)})
    schema = Schema.infer(codes)
    later = pd.DataFrame({"zip": [12345, 23456] * 20, "n": range(40)})
    error = evaluate(codes, later, schema=schema, quick=True).scores["shape_error"]
    assert {part.columns[0]: part.value for part in error.detail}["zip"] == pytest.approx(50)
    with pytest.raises(DataError, match="'zip' holds text in one table and numbers in another"):
        evaluate(codes, later.assign(zip=[1.5, 2.5] * 20), schema=schema, quick=True)

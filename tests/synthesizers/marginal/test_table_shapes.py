"""Private fits of every shape of table: few rows and many, one column to four, columns of one value, with a target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

COLUMNS: dict[str, dict[str, Any]] = {
    "category": {"kind": "categorical", "values": ["a", "b", "c"]},
    "number": {"kind": "numeric", "low": 0, "high": 100},
    "one value": {"kind": "categorical", "values": ["a"]},
    "boolean": {"kind": "boolean", "nullable": True},
}


def cells(kind: str, rows: int, rng: np.random.Generator) -> Any:
    if kind == "number":
        return rng.normal(50, 9, rows).clip(0, 100)
    return rng.random(rows) < 0.5 if kind == "boolean" else rng.choice(COLUMNS[kind]["values"], rows)


@pytest.mark.parametrize("kind", list(COLUMNS))
@pytest.mark.parametrize("rows", [1, 800, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (60, 20_000))])
def test_every_shape_is_fitted_and_sampled(kind: str, rows: int) -> None:
    rng = np.random.default_rng(0)
    for width in (1, 2, 3):
        frame = pd.DataFrame({f"c{i}": cells(kind, rows, rng) for i in range(width)})
        for role in ({}, {"role": "target"}):
            columns = {name: COLUMNS[kind] | (role if name == "c0" else {}) for name in frame}
            schema, privacy = Schema.from_dict({"columns": columns}), Privacy(10.0, 1e-6, insecure_seed=1)
            model = MarginalSynthesizer(components=4).fit(frame, schema=schema, privacy=privacy, progress=False)
            assert model.sample(10, seed=0).shape == (10, width)

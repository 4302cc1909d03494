"""Numbers with decimals are counted once more where the first counts are noisy and pairs are counted nevertheless."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import numeric_grid
from tabsynth.synthesizers.marginal.budget_allocation import measurement_shares
from tabsynth.synthesizers.registry import create

COLUMNS, ROWS = 6, 8000


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(ROWS)
    return pd.DataFrame({f"c{i}": (common + 0.3 * rng.standard_normal(ROWS)).round(4) for i in range(COLUMNS)})


def test_a_wide_range_of_measurements_keeps_spread_and_correlation() -> None:
    """Without the second count, the standard deviations are 1.4 to 3.8 times the true ones."""
    columns: dict[str, dict[str, object]] = {
        name: {"kind": "numeric", "low": -20, "high": 20, "decimals": 4} for name in table()
    }
    # If all columns were continuous, no pairs would be counted.
    columns |= {f"flag{i}": {"kind": "boolean"} for i in range(3)}
    frame = table().assign(**{f"flag{i}": table()[f"c{i}"] > 0 for i in range(3)})
    privacy = Privacy(0.2, 1e-6, insecure_seed=0)
    model = create("marginal").fit(frame, schema=Schema.from_dict({"columns": columns}), privacy=privacy)
    drawn = model.sample(4000, seed=0)[list(table())]
    purposes = [entry.purpose for entry in model.ledger_.entries]
    assert "columns once more" in purposes
    assert any("pairs" in purpose for purpose in purposes)
    assert 0.19 < model.ledger_.epsilon() <= 0.2
    assert drawn.std().median() == pytest.approx(table().std().median(), rel=0.3)
    assert drawn.corr().to_numpy()[np.triu_indices(COLUMNS, 1)].mean() > 0.5


def test_only_noisy_counts_of_numbers_with_decimals_are_repeated() -> None:
    fine, whole = numeric_grid(-20, 20, 4, False), numeric_grid(-20_000, 20_000, 0, False)
    assert measurement_shares({"a": fine, "b": whole}, 8000, 2e-3) == {"a": pytest.approx(0.125)}
    assert measurement_shares({"a": fine, "b": whole}, 8000, 2e-3, ["a"]) == {}
    assert measurement_shares({"b": whole}, 8000, 2e-3) == {}
    assert measurement_shares({"a": fine, "b": whole}, 8000, 0.2) == {}


def test_amounts_that_are_often_zero_are_counted_once() -> None:
    frame = table().where(lambda own: own > 0, 0.0)
    columns = {name: {"kind": "numeric", "low": -20, "high": 20, "decimals": 4} for name in frame}
    privacy = Privacy(0.2, 1e-6, insecure_seed=0)
    model = create("marginal").fit(frame, schema=Schema.from_dict({"columns": columns}), privacy=privacy)
    assert "columns once more" not in [entry.purpose for entry in model.ledger_.entries]

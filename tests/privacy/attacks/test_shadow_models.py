"""Shadow models detect a model that memorises outliers, and no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tabsynth.errors import DataError, SchemaError
from tabsynth.privacy.attacks.shadow_models import N_SHADOW_MODELS, attack_with_shadow_models
from tabsynth.privacy.audit import audit
from tabsynth.schema import Schema

Draw = Callable[[int, int], pd.DataFrame]


def keeps(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = frame.sample(len(frame), replace=True, random_state=seed).reset_index(drop=True)
    return made.assign(income=made["income"] * np.exp(rng.normal(0, 0.02, len(made))))


def test_a_model_that_keeps_its_rows_is_found_through_the_audit(draw: Draw, schema: Schema) -> None:
    rows = draw(900, 21)
    calls: list[int] = []

    def fit(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        calls.append(len(frame))
        return keeps(frame, seed)

    report = audit(rows[:300], rows[600:], rows[300:600], schema=schema, fit=fit)
    assert len(calls) == N_SHADOW_MODELS
    assert 290 <= min(calls) <= max(calls) <= 300
    assert "shadow_auc" in report.significant
    assert report.scores["shadow_auc"].value > 0.7
    assert report.details["power"]["shadows"]["least_auc"] < 0.75
    assert report.verdict == "VIOLATION"


@pytest.mark.slow
def test_a_model_that_does_not_look_raises_no_more_alarms_than_the_level(draw: Draw, schema: Schema) -> None:
    rows = draw(60, 22)
    population = draw(4000, 23)
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def fit(frame: pd.DataFrame, _: int, rng: np.random.Generator = rng) -> pd.DataFrame:
            return population.iloc[rng.permutation(len(population))[:40]]

        (result,), _ = attack_with_shadow_models(fit, rows, schema, range(10), seed)
        alarms += (result.p or 0.0) <= 0.05
    assert alarms <= binom.ppf(0.999, 40, 0.05)


def test_bad_fits_are_refused(draw: Draw, schema: Schema) -> None:
    rows = draw(60, 24)
    for fit, error, match in (
        (lambda frame, seed: None, DataError, "must return a synthetic frame"),
        (lambda frame, seed: frame[:0], DataError, "without rows"),
        (lambda frame, seed: frame.drop(columns="age"), SchemaError, "other columns"),
    ):
        with pytest.raises(error, match=match):
            attack_with_shadow_models(fit, rows, schema, range(5), 0)  # type: ignore[arg-type]

"""Conditional samples follow the real conditional distributions; unconditional samples are independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency

from tabsynth.synthesizers.masked import MaskedSynthesizer

BINS = 8
"""Bins of a numeric column, by quantiles of the real rows."""

GIVEN: list[dict[str, Any]] = [
    {"sex": "f"},
    {"sex": "m"},
    {"city": "Oslo"},
    {"retired": True},
    {"sex": "m", "smokes": "yes"},
    {"retired": False, "country": "Switzerland"},
]


def least_p(real: pd.DataFrame, drawn: pd.DataFrame, names: list[str]) -> tuple[float, str]:
    """The least chi-square p-value of two samples' columns times the number of columns (Bonferroni), and its column."""
    found = []
    for name in names:
        sides = [real[name], drawn[name]]
        if pd.api.types.is_numeric_dtype(real[name]) and not pd.api.types.is_bool_dtype(real[name]):
            edges = np.unique(real[name].quantile(np.linspace(0, 1, BINS + 1)[1:-1]))
            sides = [pd.Series(np.where(side.isna(), -1, np.searchsorted(edges, side))) for side in sides]
        table = pd.concat([side.astype(str).value_counts() for side in sides], axis=1).fillna(0).to_numpy()
        rare = table.sum(axis=1) < 10  # too few for the chi-square distribution: one row of their own
        table = np.vstack([table[~rare], table[rare].sum(axis=0)])
        table = table[table.sum(axis=1) > 0]
        found.append((1.0 if len(table) == 1 else float(chi2_contingency(table).pvalue), name))
    least, name = min(found)
    return min(least * len(names), 1.0), name


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_conditional_distributions_are_the_real_ones(
    masked: MaskedSynthesizer, frame: pd.DataFrame, given: dict[str, Any]
) -> None:
    """As near as another sample of the real rows would be; a perfect model fails one case in 1,000."""
    meets = np.logical_and.reduce([(frame[name] == value).to_numpy() for name, value in given.items()])
    drawn = masked.sample(int(meets.sum()), given=given, seed=11, stratify=False)
    assert all((drawn[name] == value).all() for name, value in given.items())
    others = [name for name in map(str, frame) if name not in given]
    least, name = least_p(frame[meets], drawn, others)
    assert least > 1e-3, f"{name} given {given}: p = {least:.2g}"
    # The check must hear a model that ignores its condition: rows of all, with the condition written over them.
    ignored = masked.sample(len(drawn), seed=11, calibrate=False, stratify=False).assign(**given)
    assert least_p(frame[meets], ignored, others)[0] < 1e-3


def test_plain_draws_are_independent(masked: MaskedSynthesizer) -> None:
    """Counts in samples of 256 rows spread as binomial counts do (false alarms: 1 in 1,000), stratified ones less."""
    samples, rows = 40, 256

    def spread(stratify: bool) -> float:
        draws = [masked.sample(rows, seed=i, calibrate=False, stratify=stratify)["sex"] for i in range(samples)]
        counts = np.array([(draw == "f").sum() for draw in draws])
        share = counts.mean() / rows
        return float(((counts - counts.mean()) ** 2).sum() / (rows * share * (1 - share)))

    low, high = chi2.ppf([5e-4, 1 - 5e-4], samples - 1)
    assert low < spread(stratify=False) < high
    assert spread(stratify=True) < low

"""Canaries: correct code is never flagged, a wrong noise scale is, and the power is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tabsynth.errors import DataError, PrivacyError, SchemaError
from tabsynth.privacy.accounting.gaussian_dp import gdp_mu
from tabsynth.privacy.audit import canaries
from tabsynth.privacy.audit.epsilon_bounds import (
    epsilon_from_counts,
    epsilon_from_runs,
    max_measurable_epsilon,
    mu_from_runs,
    power_of_mu,
)
from tabsynth.privacy.budget import Privacy

CLAIM = Privacy(epsilon=1.0, delta=1e-6)
MU = gdp_mu(1.0, 1e-6)
TABLE = pd.DataFrame({"x": [0.0, 0.0, 0.0]})


def gaussian_count(mu: float) -> Callable[[pd.DataFrame, int], float]:
    """The number of rows with x = 1, with noise that makes it mu-GDP."""

    def fit(frame: pd.DataFrame, seed: int) -> float:
        return float(np.count_nonzero(frame["x"].to_numpy() == 1)) + float(
            np.random.default_rng(seed).normal(0, 1 / mu)
        )

    return fit


def audited(mu: float, runs: int, seed: int, claim: Privacy = CLAIM) -> Any:
    claimed = gdp_mu(claim.epsilon, claim.delta)
    return canaries(gaussian_count(mu), TABLE, claim, canary={"x": 1.0}, score=float, mu=claimed, runs=runs, seed=seed)


def test_counts_give_what_the_tables_say() -> None:
    for runs, most in ((100, 3.28), (1000, 5.60), (20_000, 8.60)):
        assert epsilon_from_counts(runs, runs, 0, runs, 0.0) == pytest.approx(most, abs=0.005)
        assert max_measurable_epsilon(2 * runs, 0.0) == pytest.approx(most, abs=0.005)
    assert epsilon_from_counts(50, 100, 50, 100, 0.0) == 0.0
    assert epsilon_from_counts(0, 100, 100, 100, 0.0) == 0.0  # the wrong way round shows nothing


def test_equal_distributions_measure_nothing_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=200), rng.normal(size=200)) for _ in range(1000)]
    most = binom.ppf(0.999, 1000, 0.05)
    assert sum(mu_from_runs(a, b)[1] > 0 for a, b in pairs) <= most
    assert sum(epsilon_from_runs(a, b, 1e-6) > 0 for a, b in pairs) <= most
    assert np.median([mu_from_runs(a, b)[0] for a, b in pairs]) < 0.05  # half of all estimates are exactly zero


def test_bounds_hold_the_truth_and_come_near_it() -> None:
    rng = np.random.default_rng(1)
    lows = [mu_from_runs(rng.normal(0.5, 1, 400), rng.normal(0, 1, 400))[1] for _ in range(1000)]
    assert sum(low > 0.5 for low in lows) <= binom.ppf(0.999, 1000, 0.05)
    assert np.median(lows) > 0.35
    found = np.mean([low > 0.25 for low in lows])
    assert power_of_mu(0.25, 0.5, 400) == pytest.approx(found, abs=0.05)


@pytest.mark.slow
def test_correct_noise_is_never_flagged_and_half_of_it_is() -> None:
    verdicts = [audited(MU, 100, seed).verdict for seed in range(100)]
    assert "VIOLATION" not in verdicts
    large = gdp_mu(6.0, 1e-6)  # half the noise of a large claim shows in few runs
    wrong = [audited(2 * large, 100, seed, Privacy(6.0, 1e-6)) for seed in range(3)]
    assert [report.verdict for report in wrong] == ["VIOLATION"] * 3
    assert wrong[0].exit_code == 3
    assert wrong[0].mu["low"] > large


def test_a_row_that_is_published_is_found_without_a_gaussian_claim() -> None:
    def leaks(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        return frame

    report = canaries(leaks, pd.DataFrame({"x": [0.0] * 5, "k": list("aabba")}), CLAIM, runs=200)
    assert report.verdict == "VIOLATION"
    assert report.claim.measured > 1.0
    assert "synthetic rows only" in report.threat


def test_power_and_the_most_that_could_be_seen_are_said(tmp_path: Path) -> None:
    report = audited(MU, 60, 0)
    assert report.verdict == "INCONCLUSIVE"
    assert report.mu["power"] < 0.8
    assert report.claim.most == pytest.approx(epsilon_from_counts(30, 30, 0, 30, 1e-6))
    report.save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text("utf-8"))
    assert data["runs"] == 60
    assert "not a guarantee" in str(data) or "No conclusion" in str(data)


def test_rows_alone_give_no_powered_silence() -> None:
    def blind(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        return TABLE

    report = canaries(blind, TABLE, CLAIM, canary={"x": 1.0}, runs=2000)
    assert report.verdict == "INCONCLUSIVE"
    assert "is not known" in report.text
    assert audited(MU, 1000, 0).claim.power > 0.8


def test_one_run_is_informative_only() -> None:
    def copies(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        return frame

    rng = np.random.default_rng(3)
    table, candidates = pd.DataFrame({"x": rng.normal(size=300)}), pd.DataFrame({"x": 100 + np.arange(200.0)})
    report = canaries(copies, table, CLAIM, runs=20, one_run=(table, candidates))
    assert report.one_run is not None
    assert 0 < report.one_run["epsilon"] <= report.one_run["most"]
    assert "informative" in str(report)


def test_bad_input_is_refused_before_any_run() -> None:
    def never(frame: pd.DataFrame, seed: int) -> float:
        raise AssertionError("a run was begun")

    with pytest.raises(DataError, match="runs must be"):
        canaries(never, TABLE, CLAIM, runs=3)
    with pytest.raises(SchemaError, match="the canary has the columns"):
        canaries(never, TABLE, CLAIM, canary={"y": 1.0})
    with pytest.raises(PrivacyError, match="more than the claimed"):
        canaries(never, TABLE, CLAIM, mu=3.0)
    with pytest.raises(DataError, match="no rows"):
        canaries(never, TABLE[:0], CLAIM)
    with pytest.raises(DataError, match="not a frame"):
        canaries(gaussian_count(1.0), TABLE, CLAIM, runs=20)

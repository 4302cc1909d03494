"""Canary audit: bound the epsilon of a private pipeline by running it many times with and without one record.

There are two audits (Jagielski, Ullman, Oprea, NeurIPS 2020; Nasr et al., "Tight auditing of differentially private
machine learning", USENIX Security 2023): *worst case*, many runs of the whole pipeline on a tiny table that exposes one
record, which detects a wrong noise scale, a wrong sensitivity and a read without a charge; and *one run* (Steinke,
Nasr, Jagielski, 2023) with many canaries in one table of the released size, which has little power and is informative
only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.progress import progress_bar
from tabsynth.errors import DataError, PrivacyError, SchemaError, quote
from tabsynth.privacy.accounting.gaussian_dp import gdp_epsilon, gdp_mu
from tabsynth.privacy.attacks.rate_tests import MIN_POWER
from tabsynth.privacy.audit.canary_report import CanaryReport, describe_verdict
from tabsynth.privacy.audit.epsilon_bounds import (
    VIOLATION_LEVEL,
    detectable_factor,
    epsilon_from_runs,
    max_measurable_epsilon,
    mu_from_runs,
    power_of_epsilon,
    power_of_mu,
)
from tabsynth.privacy.audit.one_run import epsilon_from_scores, max_epsilon_from_guesses
from tabsynth.privacy.audit.verdict import Claim, decide
from tabsynth.privacy.budget import Privacy

Fit = Callable[[pd.DataFrame, int], Any]
"""Runs the whole pipeline on a frame with a seed, which differs between runs (for pipelines with seeded tests)."""

MIN_RUNS = 20
NEARNESS_SCALES = (1.0, 0.25)
"""Tolerances, in tenths of a column's range, for numbers that count as near the canary's."""


def canaries(
    fit: Fit,
    table: pd.DataFrame,
    privacy: Privacy,
    *,
    canary: Mapping[str, Any] | pd.DataFrame | None = None,
    score: Callable[[Any], float] | None = None,
    mu: float | None = None,
    runs: int = 1000,
    one_run: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> CanaryReport:
    """Run a pipeline with and without one record and bound its epsilon from below.

    Args:
        fit: The whole pipeline, from the frame to the output that the adversary sees (frame, model, noisy counts).
        table: A tiny table without the canary, chosen to expose it. The neighbouring table has the canary added.
        privacy: The claim.
        canary: The inserted record, or all rows of one unit as a frame; default: the largest number or the rarest
            category of each column.
        score: The adversary's score of an output, higher if it was more likely computed with the canary. Default, for
            synthetic frames: the number of rows near the canary. The default can detect a violation, but its power is
            not known. White-box scores are much more powerful.
        mu: The Gaussian-DP claim of a pipeline that adds Gaussian noise only (rho-zCDP is mu = sqrt(2 rho)). It is
            tested in addition to epsilon, with much more power.
        runs: Number of runs with the canary, and of runs without it.
        one_run: A table of the released size, and candidates with the same columns. Each candidate is inserted with
            probability 1/2, and a single run is attacked. Requires a ``fit`` that returns synthetic frames.
        seed: Random seed, also of the seeds passed to ``fit``.
        progress: True or False to show or hide the bar; default: shown on a terminal.

    Returns:
        The verdict with its evidence.

    Raises:
        DataError: Too few runs, an empty table, or a score that is not a number.
        SchemaError: The canary has other columns than the table.
        PrivacyError: ``mu`` implies an epsilon above the claimed one.
    """
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < MIN_RUNS:
        raise DataError(f"runs must be a whole number of at least {MIN_RUNS}, not {runs!r}")
    if not len(table):
        raise DataError("the table to which the canary is added has no rows; pass a small table")
    delta = privacy.resolved_delta
    if mu is not None and gdp_epsilon(mu, delta) > 1.02 * privacy.epsilon:
        raise PrivacyError(
            f"mu {mu:g} amounts to epsilon {gdp_epsilon(mu, delta):.3f} at delta {delta:.1e}, more than the claimed "
            f"{privacy.epsilon:g}; pass the mu that the ledger accounts for"
        )
    record = _make_canary(table, canary)
    score_fn = score if score is not None else _nearness_score(table, record)
    neighbour = pd.concat([table, record], ignore_index=True)
    rng = np.random.default_rng([seed, 11])
    scores = np.empty((2, runs))
    with progress_bar(2 * runs, "canaries", "run", progress) as bar:
        for i in range(runs):
            for side, frame in enumerate((neighbour, table)):
                scores[side, i] = _check_score(score_fn(fit(_shuffle(frame, rng), int(rng.integers(2**31 - 1)))))
                bar.update()
    return _judge_runs(scores[0], scores[1], privacy, delta, mu, score is not None, one_run, fit, seed)


def _judge_runs(
    inside: npt.NDArray[np.float64],
    outside: npt.NDArray[np.float64],
    privacy: Privacy,
    delta: float,
    mu: float | None,
    white_box: bool,
    one_run: tuple[pd.DataFrame, pd.DataFrame] | None,
    fit: Fit,
    seed: int,
) -> CanaryReport:
    """Return the report on the scores of all runs."""
    runs = len(inside)
    measured = epsilon_from_runs(inside, outside, delta)
    violated = epsilon_from_runs(inside, outside, delta, VIOLATION_LEVEL) > privacy.epsilon
    doubled_mu = gdp_mu(2 * privacy.epsilon, delta) if delta > 0 else 0.0
    power = power_of_epsilon(privacy.epsilon, delta, doubled_mu, runs)
    gaussian = None
    if mu is not None:
        estimate, low = mu_from_runs(inside, outside)
        gaussian = {
            "claim": mu,
            "estimate": estimate,
            "low": low,
            "power": power_of_mu(mu, 2 * mu, runs, VIOLATION_LEVEL),
        }
        power = max(power, gaussian["power"])
        violated = violated or mu_from_runs(inside, outside, VIOLATION_LEVEL)[1] > mu
    if not white_box:
        power = 0.0  # the power of this score is not known
    claim = Claim(
        epsilon=privacy.epsilon,
        delta=delta,
        measured=measured,
        most=max_measurable_epsilon(runs, delta),
        power=power,
        method="Threshold selected on one half of the runs and evaluated on the other; 95 % Clopper-Pearson bounds. "
        "A violation is declared where the bound at 99.99 % exceeds the claim.",
    )
    verdict = decide(violated, power >= MIN_POWER)
    detectable = detectable_factor(privacy.epsilon, delta, mu, runs) if white_box else None
    view = "the internals of the pipeline that the score uses" if white_box else "the synthetic rows only"
    return CanaryReport(
        verdict=verdict,
        text=describe_verdict(verdict, claim, gaussian, white_box, runs, detectable),
        claim=claim,
        mu=gaussian,
        runs=runs,
        detectable=detectable,
        threat=f"The adversary chooses all other rows and the canary, and sees {view}.",
        one_run=None if one_run is None else _audit_one_run(fit, *one_run, delta, seed),
    )


def _make_canary(table: pd.DataFrame, canary: Mapping[str, Any] | pd.DataFrame | None) -> pd.DataFrame:
    """Return the canary as a frame with the table's dtypes."""
    if canary is None:
        canary = {
            str(name): values.max() if pd.api.types.is_numeric_dtype(values.dtype) else values.value_counts().index[-1]
            for name, values in table.items()
        }
    if set(canary) != set(table.columns):
        raise SchemaError(f"the canary has the columns {quote(canary)}, the table {quote(table.columns)}; align them")
    record = (canary if isinstance(canary, pd.DataFrame) else pd.DataFrame([dict(canary)]))[list(table.columns)]
    dtypes = {name: kind for name, kind in table.dtypes.items() if kind not in (record[name].dtype, object)}
    return record.astype({name: kind for name, kind in dtypes.items() if record[name].notna().all()})


def _nearness_score(table: pd.DataFrame, record: pd.DataFrame) -> Callable[[Any], float]:
    """Return a score function of synthetic frames: the number of rows near the canary, over all columns."""

    def score(released: Any) -> float:
        return float(_compute_closeness(_check_frame(released), record, table)[0])

    return score


def _check_frame(released: Any) -> pd.DataFrame:
    if not isinstance(released, pd.DataFrame):
        raise DataError(f"fit returned {type(released).__name__}, not a frame; pass score=, a function of the output")
    return released


def _compute_closeness(released: pd.DataFrame, records: pd.DataFrame, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return sum over synthetic rows of (share of columns that agree)^4 for each record, shape (r,)."""
    agreement = np.zeros((len(records), len(released)))
    for name in records.columns:
        if pd.api.types.is_numeric_dtype(table[name].dtype) and not pd.api.types.is_bool_dtype(table[name].dtype):
            real = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
            span = float(np.nanmax(real) - np.nanmin(real)) or 1.0
            record_values = records[name].to_numpy(dtype=np.float64, na_value=np.nan)
            synthetic_values = released[name].to_numpy(dtype=np.float64, na_value=np.nan)
            gap = np.abs(record_values[:, None] - synthetic_values[None]) / span
            agreement += sum((gap <= scale * 0.1).astype(np.float64) for scale in NEARNESS_SCALES) / len(
                NEARNESS_SCALES
            )
        else:
            agreement += records[name].astype(str).to_numpy()[:, None] == released[name].astype(str).to_numpy()[None]
    return np.asarray(((agreement / records.shape[1]) ** 4).sum(axis=1))


def _audit_one_run(
    fit: Fit, table: pd.DataFrame, candidates: pd.DataFrame, delta: float, seed: int
) -> dict[str, float]:
    """Include each candidate with probability 1/2, fit once, and guess which candidates were included."""
    if set(candidates.columns) != set(table.columns):
        raise SchemaError("the candidates of one_run have other columns than its table; align them")
    rng = np.random.default_rng([seed, 12])
    included = rng.random(len(candidates)) < 0.5
    frame = pd.concat([table, candidates[table.columns][included]], ignore_index=True)
    released = _check_frame(fit(_shuffle(frame, rng), int(rng.integers(2**31 - 1))))
    bound, guesses = epsilon_from_scores(
        _compute_closeness(released, candidates[table.columns], table), included, delta
    )
    max_bound = max_epsilon_from_guesses(len(candidates), len(candidates), delta)
    return {"epsilon": bound, "most": max_bound, "candidates": float(len(candidates)), **guesses}


def _shuffle(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    out = frame.take(rng.permutation(len(frame)))
    out.index = pd.RangeIndex(len(out))
    return out


def _check_score(value: Any) -> float:
    out = float(value)
    if not np.isfinite(out):
        raise DataError(f"the score of a run is {value!r}; a score must be a finite number")
    return out

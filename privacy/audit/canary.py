"""Canaries: bound the epsilon of a private pipeline by running it many times with and without one record.

Two audits (Jagielski, Ullman, Oprea, NeurIPS 2020; Nasr et al., "Tight auditing of differentially private machine
learning", USENIX Security 2023): *worst case*, many runs of the whole pipeline on a tiny table chosen to expose one
record, which finds a wrong noise scale, a wrong sensitivity and a path around the ledger; and *one run* (Steinke, Nasr,
Jagielski, 2023) with many canaries in one table of the released size, which sees little and is informative only.
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
from tabsynth.privacy.audit.verdict import MIN_POWER, Claim, decide
from tabsynth.privacy.budget import Privacy

Fit = Callable[[pd.DataFrame, int], Any]
"""Runs the whole pipeline on a frame; the number differs from run to run, for pipelines that can be seeded in tests."""

MIN_RUNS = 20
NEARNESS_SCALES = (1.0, 0.25)
"""Shares of a column's range within which a synthetic number counts as near the canary's."""


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
        fit: The whole pipeline, from the frame to what the adversary sees: a synthetic frame, a model, noisy counts.
        table: A tiny table without the canary, chosen to expose it: by the neighbouring relation the canary is added.
        privacy: The claim.
        canary: The record put in, or all rows of one unit as a frame; default: in each column the largest number, or
            the rarest category.
        score: The adversary's score of an output, higher where it believes the canary in. Default, for synthetic
            frames: how many rows lie near the canary; it can find a violation, but its silence says nothing. White-box
            scores see much more.
        mu: The Gaussian-DP claim, where the pipeline adds Gaussian noise only (zCDP of rho is mu = sqrt(2 rho)). It is
            tested besides epsilon, and far more sharply.
        runs: Runs with and runs without the canary.
        one_run: A table of the released size and candidates with the same columns: half of the candidates, by coin,
            are put in, and one run is attacked. Needs a ``fit`` that gives synthetic frames.
        seed: Fixes coins and the numbers given to ``fit``.
        progress: True and False force the bar on and off; default: on a terminal.

    Returns:
        The verdict with its evidence.

    Raises:
        DataError: Too few runs, an empty table, or a score that is not a number.
        SchemaError: The canary has other columns than the table.
        PrivacyError: ``mu`` promises less than the epsilon that is claimed.
    """
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < MIN_RUNS:
        raise DataError(f"runs must be a whole number of at least {MIN_RUNS}, not {runs!r}")
    if not len(table):
        raise DataError("the table of the canaries has no rows; give a tiny one that exposes the canary")
    delta = privacy.resolved_delta
    if mu is not None and gdp_epsilon(mu, delta) > 1.02 * privacy.epsilon:
        raise PrivacyError(
            f"mu {mu:g} amounts to epsilon {gdp_epsilon(mu, delta):.3f} at delta {delta:.1e}, more than the claimed "
            f"{privacy.epsilon:g}; give the mu that the ledger accounts for"
        )
    record = _make_canary(table, canary)
    score_fn = score if score is not None else _nearness_score(table, record)
    neighbour = pd.concat([table, record], ignore_index=True)
    rng = np.random.default_rng([seed, 11])
    found = np.empty((2, runs))
    with progress_bar(2 * runs, "canaries", "run", progress) as shown:
        for i in range(runs):
            for side, frame in enumerate((neighbour, table)):
                found[side, i] = _check_score(score_fn(fit(_shuffle(frame, rng), int(rng.integers(2**31 - 1)))))
                shown.update()
    return _judge_runs(found[0], found[1], privacy, delta, mu, score is not None, one_run, fit, seed)


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
    """Return the verdict on the scores of all runs."""
    runs = len(inside)
    measured = epsilon_from_runs(inside, outside, delta)
    violated = epsilon_from_runs(inside, outside, delta, VIOLATION_LEVEL) > privacy.epsilon
    twice = gdp_mu(2 * privacy.epsilon, delta) if delta > 0 else 0.0
    power = power_of_epsilon(privacy.epsilon, delta, twice, runs, VIOLATION_LEVEL)
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
        power = 0.0  # the power of this score is not known, so its silence is no evidence
    claim = Claim(
        epsilon=privacy.epsilon,
        delta=delta,
        measured=measured,
        most=max_measurable_epsilon(runs, delta),
        power=power,
        method="Threshold from the first half of the runs, measured on the second; Clopper-Pearson bounds at 95 %. "
        "A violation is declared where the bound at 99.99 % exceeds the claim.",
    )
    verdict = decide(violated, power >= MIN_POWER)
    detectable = detectable_factor(privacy.epsilon, delta, mu, runs) if white_box else None
    seen = "what the score sees of the pipeline's inside" if white_box else "the synthetic rows only"
    return CanaryReport(
        verdict=verdict,
        text=describe_verdict(verdict, claim, gaussian, white_box, runs, detectable),
        claim=claim,
        mu=gaussian,
        runs=runs,
        detectable=detectable,
        threat=f"The adversary chooses all other rows and the canary, and sees {seen}.",
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
    row = (canary if isinstance(canary, pd.DataFrame) else pd.DataFrame([dict(canary)]))[list(table.columns)]
    kinds = {name: kind for name, kind in table.dtypes.items() if kind not in (row[name].dtype, object)}
    return row.astype({name: kind for name, kind in kinds.items() if row[name].notna().all()})


def _nearness_score(table: pd.DataFrame, record: pd.DataFrame) -> Callable[[Any], float]:
    """Return a score of synthetic frames: how many rows lie near the canary, in all columns together."""

    def score(released: Any) -> float:
        return float(_compute_closeness(_check_frame(released), record, table)[0])

    return score


def _check_frame(released: Any) -> pd.DataFrame:
    if not isinstance(released, pd.DataFrame):
        raise DataError(f"fit gave {type(released).__name__}, no frame; pass score=, the adversary's score of it")
    return released


def _compute_closeness(released: pd.DataFrame, records: pd.DataFrame, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the sums over the synthetic rows of the share of columns that agree, to the fourth power, shape (r,)."""
    agree = np.zeros((len(records), len(released)))
    for name in records.columns:
        if pd.api.types.is_numeric_dtype(table[name].dtype) and not pd.api.types.is_bool_dtype(table[name].dtype):
            real = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
            span = float(np.nanmax(real) - np.nanmin(real)) or 1.0
            ours = records[name].to_numpy(dtype=np.float64, na_value=np.nan)
            theirs = released[name].to_numpy(dtype=np.float64, na_value=np.nan)
            gap = np.abs(ours[:, None] - theirs[None]) / span
            agree += sum((gap <= scale * 0.1).astype(np.float64) for scale in NEARNESS_SCALES) / len(NEARNESS_SCALES)
        else:
            agree += records[name].astype(str).to_numpy()[:, None] == released[name].astype(str).to_numpy()[None]
    return np.asarray(((agree / records.shape[1]) ** 4).sum(axis=1))


def _audit_one_run(
    fit: Fit, table: pd.DataFrame, candidates: pd.DataFrame, delta: float, seed: int
) -> dict[str, float]:
    """One-run canary audit: include each candidate by a fair coin, fit once, and guess the coins."""
    if set(candidates.columns) != set(table.columns):
        raise SchemaError("the candidates of one_run have other columns than its table; align them")
    rng = np.random.default_rng([seed, 12])
    member = rng.random(len(candidates)) < 0.5
    frame = pd.concat([table, candidates[table.columns][member]], ignore_index=True)
    released = _check_frame(fit(_shuffle(frame, rng), int(rng.integers(2**31 - 1))))
    bound, guesses = epsilon_from_scores(_compute_closeness(released, candidates[table.columns], table), member, delta)
    most = max_epsilon_from_guesses(len(candidates), len(candidates), delta)
    return {"epsilon": bound, "most": most, "candidates": float(len(candidates)), **guesses}


def _shuffle(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    out = frame.take(rng.permutation(len(frame)))
    out.index = pd.RangeIndex(len(out))
    return out


def _check_score(value: Any) -> float:
    out = float(value)
    if not np.isfinite(out):
        raise DataError(f"the score of a run is {value!r}; a score must be a finite number")
    return out

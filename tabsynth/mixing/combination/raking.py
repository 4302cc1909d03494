"""Raking to known margins, and domain shift between sources."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.class_weight import compute_sample_weight

from tabsynth.common.arrays import Floats
from tabsynth.common.threads import single_threaded
from tabsynth.errors import DataError, InputError, quote

MAX_ROUNDS = 1000
TOLERANCE = 1e-9
"""Raking stops when no weight changes by more than this."""

N_FOLDS = 3
N_TREES = 100
"""Trees of the domain classifier."""

MAX_CATEGORIES = 250
"""Maximum categories of the domain classifier; rarer values are pooled."""


@dataclass(frozen=True, eq=False)
class RakingWeights:
    """Raked weights.

    Attributes:
        weights: Shape (rows,), mean 1.
        ess: Kish's effective sample size as a share of the rows, (sum w)^2 / (n sum w^2).
        report: Shares of each value (target, before, after); the largest remaining gap; rows at the cap.
    """

    weights: Floats
    ess: float
    report: dict[str, Any]


def rake(
    frame: pd.DataFrame, margins: Mapping[str, Mapping[Hashable, float]], cap: float = 5.0, min_ess: float = 0.5
) -> RakingWeights:
    """Rake weights so that each column has its known shares.

    Iterative proportional fitting (Deming and Stephan, "On a least squares adjustment of a sampled frequency table when
    the expected marginal totals are known", Annals of Mathematical Statistics 11, 1940), with weights cut at a cap
    after each round. It corrects only the bias that the margins explain.

    Args:
        frame: The rows. Rows with a missing value keep their share.
        margins: By column, the share of each of its values; they sum to 1.
        cap: Maximum weight, relative to the mean; the report states the remaining gap.
        min_ess: Minimum share of effective rows.

    Raises:
        InputError: Shares do not sum to 1, or the cap is not above 1.
        DataError: A column is missing, a value has no margin or a margin no rows, or the effective rows are too few.

    Example:
        >>> people = pd.DataFrame({"sex": ["f"] * 30 + ["m"] * 70})
        >>> found = rake(people, {"sex": {"f": 0.5, "m": 0.5}})
        >>> round(float(found.weights[0]), 3), round(found.ess, 2)
        (1.667, 0.84)
    """
    if not cap > 1 or not 0 <= min_ess <= 1:
        raise InputError(f"cap must be above 1 and min_ess between 0 and 1, not {cap!r} and {min_ess!r}")
    if not margins:
        raise InputError("there is no margin to rake to; pass the known shares of at least one column")
    sides = {name: _margin_codes(frame, name, shares) for name, shares in margins.items()}
    weights = np.ones(len(frame))
    for _ in range(MAX_ROUNDS):
        before = weights
        for codes, wanted in sides.values():
            known = codes >= 0
            share = _weighted_shares(codes, weights, len(wanted))
            weights = np.where(
                known, weights * np.divide(wanted, share, out=np.ones_like(wanted), where=share > 0)[codes], weights
            )
        weights = weights / weights.mean()
        weights = np.minimum(weights, cap)
        if np.abs(weights - before).max() < TOLERANCE:
            break
    weights = weights / weights.mean()
    ess = float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))
    ones = np.ones(len(frame))
    report: dict[str, Any] = {"cap": cap, "capped": int((weights >= cap * 0.999).sum()), "ess": ess, "margins": {}}
    gap = 0.0
    for (name, (codes, wanted)), shares in zip(sides.items(), margins.values(), strict=True):
        was, now = _weighted_shares(codes, ones, len(wanted)), _weighted_shares(codes, weights, len(wanted))
        gap = max(gap, float(np.abs(now - wanted).max()))
        report["margins"][name] = {
            str(value): {"before": float(was[i]), "after": float(now[i]), "wanted": float(wanted[i])}
            for i, value in enumerate(shares)
        }
    report["largest_gap"] = gap
    if ess < min_ess:
        raise DataError(
            f"after raking, the effective sample size is {ess:.2f} times the number of rows, below min_ess "
            f"{min_ess:g} (largest weight {weights.max():.1f}); merge rare values or lower the cap {cap:g}"
        )
    return RakingWeights(weights, ess, report)


def _margin_codes(
    frame: pd.DataFrame, name: str, shares: Mapping[Hashable, float]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return each row's value as a number within a margin, -1 where missing, and the wanted shares."""
    if name not in frame.columns:
        raise DataError(f"the margin {name!r} is not a column of the table; it has {quote(frame.columns, 12)}")
    wanted = np.array(list(shares.values()), np.float64)
    if not np.isfinite(wanted).all() or (wanted < 0).any() or abs(wanted.sum() - 1) > 1e-6:
        raise InputError(f"the margin of {name!r} must be shares that sum to 1, not {dict(shares)!r}")
    codes = pd.Index(list(shares), dtype=object).get_indexer(pd.Index(frame[name].astype(object))).astype(np.int64)
    unknown = frame.loc[(codes < 0) & frame[name].notna().to_numpy(), name].unique()
    if len(unknown):
        raise DataError(f"column {name!r} has values without a margin, such as {quote(unknown, 3)}; add their shares")
    absent = [value for i, value in enumerate(shares) if wanted[i] > 0 and not (codes == i).any()]
    if absent:
        raise DataError(
            f"the margin of {name!r} has a share for {quote(absent)}, but no row has this value; merge it with another"
        )
    codes[frame[name].isna().to_numpy()] = -1
    return codes, wanted


def _weighted_shares(codes: npt.NDArray[np.int64], weights: Floats, count: int) -> Floats:
    """Return the weighted share of each value among the known values."""
    known = codes >= 0
    mass = np.bincount(codes[known], weights[known], minlength=count)
    return np.asarray(mass / mass.sum(), np.float64)


def domain_auc(
    frames: Mapping[str, pd.DataFrame], weights: Mapping[str, Floats] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Return the domain shift: cross-validated AUC of a classifier of a row's source, 0.5 for equal distributions.

    Boosted trees distinguish each source from all others by the columns that all sources have.

    Args:
        frames: The sources.
        weights: Weights of the rows of some sources, to measure how far they reduce the shift.
        seed: Seed of the folds.

    Returns:
        ``before`` and, with weights, ``after``: the mean over the sources; ``before_by_source`` and
        ``after_by_source``.

    Raises:
        InputError: There are fewer than two sources, or no column is in all.
        DataError: A source has too few rows, or weights do not fit it.
    """
    if len(frames) < 2:
        raise InputError(f"domain shift needs two sources or more, not {len(frames)}")
    first = next(iter(frames.values()))
    columns = [name for name in first.columns if all(name in frame.columns for frame in frames.values())]
    if not columns:
        raise InputError("the sources have no column in common; map their columns first")
    small = [source for source, frame in frames.items() if len(frame) < 2 * N_FOLDS]
    if small:
        raise DataError(
            f"source {quote(small)} has fewer than {2 * N_FOLDS} rows, too few for cross-validation; leave it out"
        )
    plain = {source: np.ones(len(frame)) for source, frame in frames.items()}
    for source, row_weights in (weights or {}).items():
        if source not in frames or len(row_weights) != len(frames[source]):
            raise DataError(f"the weights of {source!r} do not fit a source of that name and number of rows")
    X, categorical = _to_features([frame[columns] for frame in frames.values()])
    y = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames.values()])
    out: dict[str, Any] = {}
    rounds = {"before": plain} | ({"after": {**plain, **weights}} if weights else {})
    for label, current_weights in rounds.items():
        w = np.concatenate([np.asarray(current_weights[source], np.float64) for source in frames])
        scores = {}
        pairs = list(enumerate(frames))[: 1 if len(frames) == 2 else None]  # for two sources both scores are equal
        for i, source in pairs:
            scores[source] = _cross_validated_auc(X, y == i, w, categorical, seed)
        if len(frames) == 2:
            scores = dict.fromkeys(frames, next(iter(scores.values())))
        out[label] = float(np.mean(list(scores.values())))
        out[f"{label}_by_source"] = scores
    return out


@single_threaded
def _cross_validated_auc(X: Floats, mine: npt.NDArray[np.bool_], w: Floats, categorical: list[int], seed: int) -> float:
    """Return the cross-validated, weighted AUC."""
    score = np.zeros(len(mine))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(X, mine):
        model = HistGradientBoostingClassifier(
            max_iter=N_TREES, early_stopping=False, categorical_features=categorical or None, random_state=seed
        )
        balance = compute_sample_weight("balanced", mine[train]) * w[train]
        model.fit(X[train], mine[train], sample_weight=balance)
        score[test] = model.predict_proba(X[test])[:, 1]
    return float(roc_auc_score(mine, score, sample_weight=w))


def _to_features(frames: list[pd.DataFrame]) -> tuple[Floats, list[int]]:
    """Return all rows as a numeric matrix, NaN where missing, and the indices of categorical columns."""
    every = pd.concat([frame.astype(object) for frame in frames], ignore_index=True)
    out = np.empty(every.shape)
    categorical = []
    for i, name in enumerate(every):
        kinds = [frame[name].dtype for frame in frames]
        values = every[name]
        if all(pd.api.types.is_datetime64_any_dtype(kind) for kind in kinds):
            stamps = pd.to_datetime(values, utc=True)
            out[:, i] = stamps.astype("int64").where(stamps.notna())
        elif all(pd.api.types.is_numeric_dtype(kind) for kind in kinds):
            out[:, i] = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        else:
            text = values.where(values.isna(), values.astype(str))
            codes = pd.Index(text.value_counts().index[:MAX_CATEGORIES]).get_indexer(text)
            codes[codes < 0] = MAX_CATEGORIES
            out[:, i] = np.where(text.isna(), np.nan, codes)
            categorical.append(i)
    return out, categorical


def check_margins(margins: Any) -> dict[str, dict[Any, float]]:
    """Validate margins: shares by value, by column.

    Raises:
        InputError: The form differs.
    """
    if not isinstance(margins, Mapping) or not all(isinstance(value, Mapping) for value in margins.values()):
        raise InputError("weights: margins are shares by value, by column, such as {sex: {F: 0.5, M: 0.5}}")
    return {str(name): {key: float(share) for key, share in value.items()} for name, value in margins.items()}

"""Resolve conflicts: choose a value where sources disagree about an entity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError, InputError, quote

Rule = Literal["trust", "majority", "median", "latest", "em"]

INITIAL_ERROR = 0.2
"""Initial error rate of every source."""

ERROR_PRIOR = (1.0, 4.0)
"""Beta prior of each source's error rate, which keeps it above 0."""


def resolve(
    values: pd.DataFrame,
    rule: Rule,
    trust: Mapping[str, float] | None = None,
    times: pd.DataFrame | None = None,
) -> tuple[pd.Series, pd.Series]:
    """Choose one value for each entity.

    ``trust`` takes the value of the most trusted source that has one, ``majority`` the most frequent value, ``em`` a
    vote weighted by each source's estimated error rate, ``median`` the median of numbers or dates, ``latest`` the most
    recent value. Equal candidates are ranked by trust, then by the order of the sources.

    Args:
        values: Entities as rows, sources as columns.
        rule: The rule.
        trust: Trust in each source; 0.5 by default.
        times: For ``latest``: the time of each value, with the rows and columns of ``values``.

    Returns:
        The values, and the source of each, or all its sources joined by "+"; both missing where no source has a value.

    Raises:
        InputError: An unknown rule, ``em`` with fewer than three sources, or ``latest`` without times.
        DataError: ``median`` of values that are neither numbers nor dates.
    """
    if rule not in get_args(Rule):
        raise InputError(f"rule must be one of {', '.join(get_args(Rule))}, not {rule!r}")
    if values.columns.has_duplicates or not values.shape[1]:
        raise InputError(f"the columns must be different sources, not {list(values.columns)!r}")
    unknown = set(trust or {}) - set(values.columns)
    if unknown:
        raise InputError(
            f"trust names {quote(sorted(unknown))}, which is not among the sources {quote(values.columns)}"
        )
    # Ordering by trust resolves equal scores.
    ranks = [-(trust or {}).get(str(source), 0.5) for source in values.columns]
    ordered = values[[values.columns[i] for i in np.argsort(ranks, kind="stable")]]
    if rule == "median":
        return _median(ordered)
    if rule == "latest":
        return _select_values(ordered, _recency(ordered, times))
    if rule == "em" and values.shape[1] < 3:
        raise InputError(
            f"rule 'em' needs three sources or more, and there are {values.shape[1]}: two sources that "
            "disagree do not show which one is wrong; use 'trust', or 'majority' with trust as the tie-breaker"
        )
    is_present = ordered.notna().to_numpy()
    if rule == "trust":
        return _select_values(ordered, is_present.astype(np.float64))
    codes = encode_values(ordered)
    weights = np.ones(ordered.shape[1]) if rule == "majority" else _vote_weights(codes)
    same = codes[:, :, None] == codes[:, None, :]
    return _select_values(ordered, (same * is_present[:, None, :] * weights).sum(axis=2) * is_present, agreeing=True)


def _select_values(values: pd.DataFrame, score: Floats, agreeing: bool = False) -> tuple[pd.Series, pd.Series]:
    """Return the value of the highest-scoring source, the first of equals; ``agreeing`` names all its sources."""
    is_present = values.notna().to_numpy()
    best = np.where(is_present, score, -np.inf).argmax(axis=1)
    rows = np.arange(len(values))
    out = pd.Series(index=values.index, dtype=object)
    for i, source in enumerate(values.columns):
        is_chosen = best == i
        out[is_chosen] = values[source].astype(object)[is_chosen]
    has_value = pd.Series(is_present.any(axis=1), index=values.index)
    kinds = set(values.dtypes)
    typed = out.where(has_value, None)
    if len(kinds) == 1:
        typed = typed.astype(next(iter(kinds)))
    names = np.array([str(source) for source in values.columns], object)
    origin = pd.Series(names[best], index=values.index, dtype=object)
    if agreeing:
        codes = encode_values(values)
        same = (codes == codes[rows, best][:, None]) & is_present
        patterns, which = np.unique(same, axis=0, return_inverse=True)
        origin = pd.Series(np.array(["+".join(names[p]) for p in patterns], object)[which.ravel()], index=values.index)
    return typed, origin.where(has_value, None)


def encode_values(values: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return integer codes of the values, equal for equal values and -1 where missing, with the shape of ``values``."""
    every = pd.concat([values[source].astype(object) for source in values.columns], ignore_index=True)
    return pd.factorize(every)[0].astype(np.int64).reshape(values.shape[1], len(values)).T


def _vote_weights(codes: npt.NDArray[np.int64]) -> Floats:
    """Return the vote weight of each source: the log odds of the right value against one wrong value."""
    errors, wrong = _estimate_errors(codes)
    return np.asarray(np.log((1 - errors) / errors * wrong), np.float64)


def _estimate_errors(codes: npt.NDArray[np.int64]) -> tuple[Floats, float]:
    """Return each source's error rate by EM, and the effective number of wrong values.

    The one-parameter form of Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM
    algorithm" (Applied Statistics 28, 1979): a source is wrong with its own probability, and then takes the
    other values with equal probability. Only entities with values of at least two sources count.
    """
    is_present = codes >= 0
    codes = codes[is_present.sum(axis=1) >= 2]
    is_present = codes >= 0
    errors = np.full(codes.shape[1], INITIAL_ERROR)
    if not len(codes):
        return errors, 1.0
    frequency = np.bincount(codes[is_present]) / is_present.sum()
    wrong = max(1 / float((frequency**2).sum()) - 1, 1.0)  # effective number of values minus the right one
    same = (codes[:, :, None] == codes[:, None, :]) & is_present[:, None, :] & is_present[:, :, None]
    # The likelihood depends only on the agreement pattern, and there are few.
    patterns, times = np.unique(np.where(is_present, same.argmax(axis=2), -1), axis=0, return_counts=True)
    is_present = patterns >= 0
    same = (patterns[:, :, None] == patterns[:, None, :]) & is_present[:, None, :] & is_present[:, :, None]
    number = times[:, None]
    # A common value is one candidate, represented by its first source.
    first = is_present & (patterns == np.arange(codes.shape[1]))
    for _ in range(1000):
        vote = np.log((1 - errors) / errors * wrong)
        logs = np.where(first, (same * vote).sum(axis=2), -np.inf)
        # A value that no source has may be the right one.
        others = np.maximum(wrong + 1 - first.sum(axis=1), 0.0)
        top = np.maximum(logs.max(axis=1), 0.0)
        mass = np.exp(logs - top[:, None])
        right = mass / (mass.sum(axis=1) + others * np.exp(-top))[:, None]
        # The probability of each source's own value.
        own_probability = np.take_along_axis(right, np.where(is_present, patterns, 0), axis=1)
        updated = (((1 - own_probability) * is_present * number).sum(axis=0) + ERROR_PRIOR[0]) / (
            (is_present * number).sum(axis=0) + sum(ERROR_PRIOR)
        )
        change = float(np.abs(updated - errors).max())
        errors = np.clip(updated, 1e-6, wrong / (wrong + 1))
        if change < 1e-7:
            break
    return errors, wrong


def _median(values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the median and its one or two sources."""
    dates = all(pd.api.types.is_datetime64_any_dtype(kind) for kind in values.dtypes)
    numbers = all(pd.api.types.is_numeric_dtype(k) and not pd.api.types.is_bool_dtype(k) for k in values.dtypes)
    if not dates and not numbers:
        raise DataError("rule 'median' is for numbers and dates; use 'majority' or 'trust' for other values")
    if dates:
        plain = values.apply(lambda column: column.astype("datetime64[ns]").astype("int64")).astype("float64")
        matrix = plain.where(values.notna()).to_numpy(np.float64)
    else:
        matrix = values.to_numpy(np.float64, na_value=np.nan)
    order = np.argsort(matrix, axis=1, kind="stable")  # missing last
    count = (~np.isnan(matrix)).sum(axis=1)
    rows = np.arange(len(values))
    low, high = (order[rows, np.maximum(place, 0)] for place in ((count - 1) // 2, count // 2 - (count == 0)))
    high = np.where(count % 2, low, high)
    middle = matrix[rows, low] / 2 + matrix[rows, high] / 2
    names = np.array([str(source) for source in values.columns], object)
    same = matrix[rows, low] == matrix[rows, high]
    origin = np.where(same, names[low], names[low] + "+" + names[high])
    out = pd.Series(middle, index=values.index)
    if dates:
        out = pd.Series(pd.to_datetime(out.round()), index=values.index)
    return out, pd.Series(origin, index=values.index, dtype=object).where(np.asarray(count > 0), None)


def _recency(values: pd.DataFrame, times: Any) -> Floats:
    """Return the time of each value as a score; values without a time come last."""
    if times is None:
        raise InputError("rule 'latest' needs the time of each value, for every source")
    if set(times.columns) != set(values.columns) or not times.index.equals(values.index):
        raise InputError(
            f"times must have the rows and sources of the values, {quote(values.columns)}, not {quote(times.columns)}"
        )
    out = np.empty(values.shape)
    for i, source in enumerate(values.columns):
        column = times[source]
        if pd.api.types.is_numeric_dtype(column.dtype):
            out[:, i] = column.to_numpy(np.float64, na_value=np.nan)
        elif pd.api.types.is_datetime64_any_dtype(column.dtype):
            stamps = column.dt.tz_localize(None) if column.dt.tz is not None else column
            out[:, i] = np.where(stamps.isna(), np.nan, stamps.astype("datetime64[ns]").astype("int64"))
        else:
            raise DataError(f"the times of source {source!r} are neither dates nor numbers; parse them first")
    return np.nan_to_num(out, nan=-1e300)

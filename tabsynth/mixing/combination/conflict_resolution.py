"""Which value stands when sources disagree about the same entity."""

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
"""The error that every source is taken to have before the first vote is counted."""

ERROR_PRIOR = (1.0, 4.0)
"""A Beta prior on each source's error, worth five cells, so that no source is ever taken to be without any."""


def resolve(
    values: pd.DataFrame,
    rule: Rule,
    trust: Mapping[str, float] | None = None,
    times: pd.DataFrame | None = None,
) -> tuple[pd.Series, pd.Series]:
    """Choose one value for each entity.

    ``trust`` takes the value of the most trusted source that has one. ``majority`` takes the value that most sources
    have, ``em`` weighs each source's vote by the error it is found to make. ``median`` is the middle of numbers or
    dates. ``latest`` takes the value of the latest time. Ties go to the more trusted source, then to the earlier one.

    Args:
        values: Entities as rows, sources as columns; missing where a source has no value.
        rule: How to choose.
        trust: How much each source is trusted, by name; sources that are not named count 0.5.
        times: For ``latest``: when each value was true, of the same rows and columns as ``values``.

    Returns:
        The values, and where each comes from: the source, or all sources that it was computed from, joined by "+".
        Both are missing where no source has a value.

    Raises:
        InputError: An unknown rule, ``em`` with fewer than three sources, or ``latest`` without times.
        DataError: ``median`` of what is neither numbers nor dates.
    """
    if rule not in get_args(Rule):
        raise InputError(f"rule must be one of {', '.join(get_args(Rule))}, not {rule!r}")
    if values.columns.has_duplicates or not values.shape[1]:
        raise InputError(f"the columns must be different sources, not {list(values.columns)!r}")
    unknown = set(trust or {}) - set(values.columns)
    if unknown:
        raise InputError(f"trust names {quote(sorted(unknown))}, which is no source of {quote(values.columns)}")
    # The most trusted source comes first, so that the first of equals is the right one.
    ranks = [-(trust or {}).get(str(source), 0.5) for source in values.columns]
    ordered = values[[values.columns[i] for i in np.argsort(ranks, kind="stable")]]
    if rule == "median":
        return _median(ordered)
    if rule == "latest":
        return _select_values(ordered, _recency(ordered, times))
    if rule == "em" and values.shape[1] < 3:
        raise InputError(
            f"rule 'em' needs three sources or more, and there are {values.shape[1]}: of two that disagree, nothing "
            "tells which is wrong; use 'trust', or 'majority' with a trust that breaks ties"
        )
    held = ordered.notna().to_numpy()
    if rule == "trust":
        return _select_values(ordered, held.astype(np.float64))
    codes = encode_values(ordered)
    weights = np.ones(ordered.shape[1]) if rule == "majority" else _vote_weights(codes)
    same = codes[:, :, None] == codes[:, None, :]
    return _select_values(ordered, (same * held[:, None, :] * weights).sum(axis=2) * held, agreeing=True)


def estimate_source_errors(values: pd.DataFrame) -> dict[str, float]:
    """How often each source is wrong, as ``em`` finds it from their disagreements alone.

    Args:
        values: Entities as rows, three sources or more as columns.
    """
    if values.shape[1] < 3:
        raise InputError(f"errors of sources can be told from three sources on, and there are {values.shape[1]}")
    found = _estimate_errors(encode_values(values))[0]
    return {str(source): float(error) for source, error in zip(values.columns, found, strict=True)}


def _select_values(values: pd.DataFrame, score: Floats, agreeing: bool = False) -> tuple[pd.Series, pd.Series]:
    """The value of the source that scores highest, the first of equals; ``agreeing`` names all that have it."""
    held = values.notna().to_numpy()
    best = np.where(held, score, -np.inf).argmax(axis=1)
    rows = np.arange(len(values))
    out = pd.Series(index=values.index, dtype=object)
    for i, source in enumerate(values.columns):
        mine = best == i
        out[mine] = values[source].astype(object)[mine]
    some = pd.Series(held.any(axis=1), index=values.index)
    kinds = set(values.dtypes)
    typed = out.where(some, None)
    if len(kinds) == 1:
        typed = typed.astype(next(iter(kinds)))
    names = np.array([str(source) for source in values.columns], object)
    origin = pd.Series(names[best], index=values.index, dtype=object)
    if agreeing:
        codes = encode_values(values)
        same = (codes == codes[rows, best][:, None]) & held
        patterns, which = np.unique(same, axis=0, return_inverse=True)
        origin = pd.Series(np.array(["+".join(names[p]) for p in patterns], object)[which.ravel()], index=values.index)
    return typed, origin.where(some, None)


def encode_values(values: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Each value as a number, the same for all sources; -1 where missing. Shape of ``values``."""
    every = pd.concat([values[source].astype(object) for source in values.columns], ignore_index=True)
    return pd.factorize(every)[0].astype(np.int64).reshape(values.shape[1], len(values)).T


def _vote_weights(codes: npt.NDArray[np.int64]) -> Floats:
    """The weight of each source's vote: log odds of being right against one of the wrong values."""
    errors, wrong = _estimate_errors(codes)
    return np.asarray(np.log((1 - errors) / errors * wrong), np.float64)


def _estimate_errors(codes: npt.NDArray[np.int64]) -> tuple[Floats, float]:
    """Each source's error by expectation maximisation, and how many wrong values there are to choose from.

    The one-parameter form of Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM
    algorithm" (Applied Statistics 28, 1979): a source is wrong with its own probability, and then takes any other value
    alike. Only entities that two sources or more speak of count.
    """
    held = codes >= 0
    codes = codes[held.sum(axis=1) >= 2]
    held = codes >= 0
    errors = np.full(codes.shape[1], INITIAL_ERROR)
    if not len(codes):
        return errors, 1.0
    frequency = np.bincount(codes[held]) / held.sum()
    wrong = max(1 / float((frequency**2).sum()) - 1, 1.0)  # the effective number of values, less the right one
    same = (codes[:, :, None] == codes[:, None, :]) & held[:, None, :] & held[:, :, None]
    # Only who agrees with whom matters, and there are few such patterns.
    patterns, times = np.unique(np.where(held, same.argmax(axis=2), -1), axis=0, return_counts=True)
    held = patterns >= 0
    same = (patterns[:, :, None] == patterns[:, None, :]) & held[:, None, :] & held[:, :, None]
    number = times[:, None]
    # A value that several sources have is one candidate, carried by the first that has it.
    first = held & (patterns == np.arange(codes.shape[1]))
    for _ in range(1000):
        vote = np.log((1 - errors) / errors * wrong)
        logs = np.where(first, (same * vote).sum(axis=2), -np.inf)
        # Besides the values that are claimed, any of the others could be right.
        others = np.maximum(wrong + 1 - first.sum(axis=1), 0.0)
        top = np.maximum(logs.max(axis=1), 0.0)
        mass = np.exp(logs - top[:, None])
        right = mass / (mass.sum(axis=1) + others * np.exp(-top))[:, None]
        # How likely each source's own value is: that of the candidate that carries it.
        own = np.take_along_axis(right, np.where(held, patterns, 0), axis=1)
        after = (((1 - own) * held * number).sum(axis=0) + ERROR_PRIOR[0]) / (
            (held * number).sum(axis=0) + sum(ERROR_PRIOR)
        )
        moved = float(np.abs(after - errors).max())
        errors = np.clip(after, 1e-6, wrong / (wrong + 1))
        if moved < 1e-7:
            break
    return errors, wrong


def _median(values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The middle value; with an even number of values, half way between the middle two, named by both."""
    dates = all(pd.api.types.is_datetime64_any_dtype(kind) for kind in values.dtypes)
    numbers = all(pd.api.types.is_numeric_dtype(k) and not pd.api.types.is_bool_dtype(k) for k in values.dtypes)
    if not dates and not numbers:
        raise DataError("rule 'median' is for numbers and dates; use 'majority' or 'trust' for other values")
    if dates:
        plain = values.apply(lambda column: column.astype("datetime64[ns]").astype("int64")).astype("float64")
        found = plain.where(values.notna()).to_numpy(np.float64)
    else:
        found = values.to_numpy(np.float64, na_value=np.nan)
    order = np.argsort(found, axis=1, kind="stable")  # missing last
    count = (~np.isnan(found)).sum(axis=1)
    rows = np.arange(len(values))
    low, high = (order[rows, np.maximum(place, 0)] for place in ((count - 1) // 2, count // 2 - (count == 0)))
    high = np.where(count % 2, low, high)
    middle = found[rows, low] / 2 + found[rows, high] / 2
    names = np.array([str(source) for source in values.columns], object)
    same = found[rows, low] == found[rows, high]
    origin = np.where(same, names[low], names[low] + "+" + names[high])
    out = pd.Series(middle, index=values.index)
    if dates:
        out = pd.Series(pd.to_datetime(out.round()), index=values.index)
    return out, pd.Series(origin, index=values.index, dtype=object).where(np.asarray(count > 0), None)


def _recency(values: pd.DataFrame, times: Any) -> Floats:
    """How late each value is, as a score; a value without a time comes last of those there are."""
    if times is None:
        raise InputError("rule 'latest' needs times: when each value was true, for every source")
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

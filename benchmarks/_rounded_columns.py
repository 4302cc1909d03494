"""Columns whose numbers are rounded to several units, and the share that keeps its rounding through the codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.schema.rounding import nearest_multiple

N_DRAWS = 5
"""Times that each column is decoded."""

Draw = Callable[[np.random.Generator, int], Any]


def to_units(values: Any, units: list[float], shares: list[float], rng: np.random.Generator) -> Any:
    """Numbers, each rounded to one of several units."""
    unit = rng.choice(len(units), len(values), p=shares)
    rounded = np.stack([nearest_multiple(values, own) for own in units])
    return rounded[unit, np.arange(len(values))]


def _moments(rng: np.random.Generator, n: int, units: list[float], shares: list[float]) -> Any:
    day = rng.integers(0, 700, n) * 1440.0
    minutes = to_units(rng.normal(13 * 60, 200, n).clip(0, 1439), units, shares, rng)
    return pd.Timestamp("2022-01-01") + pd.to_timedelta(day + np.minimum(minutes, 1439), unit="min")


def _logarithmic(mean: float, spread: float) -> Draw:
    return lambda rng, n: np.exp(rng.normal(mean, spread, n))


def _mixed(draw: Draw, units: list[float], shares: list[float]) -> Draw:
    return lambda rng, n: to_units(draw(rng, n), units, shares, rng)


def _normal(mean: float, spread: float) -> Draw:
    return lambda rng, n: rng.normal(mean, spread, n)


COLUMNS: dict[str, tuple[Draw, list[float]]] = {
    "amounts in 5 to 100": (
        _mixed(_logarithmic(5.5, 0.8), [5, 10, 50, 100], [0.2, 0.3, 0.3, 0.2]),
        [10, 50, 100],
    ),
    "amounts, some with cents": (_mixed(_logarithmic(5, 1), [0.01, 1, 10, 50], [0.1, 0.5, 0.2, 0.2]), [1, 10, 50]),
    "incomes in 100, few exact": (_mixed(_logarithmic(8, 0.5), [1, 100, 500], [0.05, 0.75, 0.2]), [100, 500, 1000]),
    "weights to .1 and .5": (_mixed(_normal(75, 14), [0.1, 0.5, 1], [0.5, 0.3, 0.2]), [0.5, 1, 5]),
    "weights to .5": (_mixed(_normal(75, 14), [0.5], [1.0]), [1, 5]),
    "pressures to 1, 2, 5, 10": (_mixed(_normal(128, 18), [1, 2, 5, 10], [0.3, 0.3, 0.2, 0.2]), [2, 5, 10]),
    "doses to 2.5 and 25": (_mixed(_logarithmic(4, 0.7), [2.5, 5, 25], [0.4, 0.4, 0.2]), [5, 25]),
    "minutes to 1, 5, 15": (_mixed(_logarithmic(4, 0.6), [1, 5, 15], [0.4, 0.4, 0.2]), [5, 15, 30]),
    "grades to .1, few halves": (_mixed(_normal(3, 0.9), [0.01, 0.1, 0.5], [0.6, 0.3, 0.1]), [0.1, 0.5]),
    "times to 1, 5, 15 minutes": (lambda rng, n: _moments(rng, n, [1, 5, 15], [0.4, 0.3, 0.3]), [5, 15, 60]),
    "times to 5 and 15 minutes": (lambda rng, n: _moments(rng, n, [5, 15, 30], [0.4, 0.3, 0.3]), [15, 30, 60]),
    "exact times and whole hours": (lambda rng, n: _moments(rng, n, [1, 60], [0.8, 0.2]), [5, 15, 60]),
    "continuous": (lambda rng, n: np.round(rng.normal(1000, 300, n), 4), [0.5, 1, 10]),
    "whole numbers": (lambda rng, n: np.round(rng.normal(50_000, 9000, n)), [5, 10, 100]),
}
"""How each column is drawn, and units of which it has more multiples than by chance; none of the last two."""


def lost_roundness(rows: int, seeds: int) -> dict[str, Any]:
    """The percentage of multiples of each unit before and after the codec, and the distance of the distributions."""
    out: dict[str, Any] = {}
    for name, (draw, units) in COLUMNS.items():
        real, decoded, distance, floor = [], [], [], []
        for seed in range(seeds):
            column, fresh = (draw(np.random.default_rng([seed, part]), rows) for part in range(2))
            table = Table.of(pd.DataFrame({"x": column}))
            codec = Codec.measure(table)
            tokens = codec.encode(table.frame)
            frames = [codec.decode(tokens, np.random.default_rng(draws)) for draws in range(N_DRAWS)]
            own, other = _numbers(column), _numbers(fresh)
            back = [_numbers(frame["x"]) for frame in frames]
            real.append(_shares(own, units))
            decoded.append(np.mean([_shares(one, units) for one in back], axis=0))
            distance.append(np.mean([_ks(own, one) for one in back]))
            floor.append(_ks(own, other))
        change = np.mean(decoded, axis=0) - np.mean(real, axis=0)
        out[name] = {
            "units": units,
            "real": np.round(np.mean(real, axis=0), 1).tolist(),
            "change": np.round(change, 2).tolist(),
            "ks": round(100 * float(np.mean(distance)), 2),
            "ks_fresh": round(100 * float(np.mean(floor)), 2),
        }
    return out


def _numbers(values: Any) -> np.ndarray:
    if np.issubdtype(np.asarray(values).dtype, np.datetime64):
        return np.asarray(values).astype("datetime64[s]").astype(np.int64) / 60
    return np.asarray(values, np.float64)


def _shares(values: np.ndarray, units: list[float]) -> list[float]:
    return [100 * float(np.mean(np.abs(nearest_multiple(values, unit) - values) < 1e-9 * unit)) for unit in units]


def _ks(one: np.ndarray, other: np.ndarray) -> float:
    both = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(own), both, side="right") / len(own) for own in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())

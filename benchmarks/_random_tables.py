"""Tables without a rule between their columns, on which ``benchmarks/rules.py`` counts the rules that are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations

Rows = Callable[[np.random.Generator, Any, Any], Any]
"""Draws a column, given shared factors of shape (3, n) and a group of each row."""

N_FRESH = 20_000


def chance(tables: int) -> dict[str, Any]:
    """Count the rules that are found, and those that fresh rows of the same distribution violate."""
    found, violated, broken_tables = 0, [], 0
    for seed in range(tables):
        frame = random_table(seed)
        table = Table.of(frame)
        codec = Codec.measure(table)
        relations = Relations.discover(table, codec)
        fresh = random_table(seed, N_FRESH).astype(frame.dtypes.to_dict())
        own = [(str(one), Relations(arithmetic=(one,))) for one in relations.arithmetic]
        own += [(rule.text, Relations(rules=(rule,))) for rule in relations.rules]
        rates = {text: 1 - float(one.hold(fresh, codec).mean()) for text, one in own}
        found += len(own)
        violated += [{"seed": seed, "rule": text, "violated": rate} for text, rate in rates.items() if rate]
        broken_tables += any(rates.values())
    return {"tables": tables, "found": found, "tables_with_false_rules": broken_tables, "false": violated}


def random_table(seed: int, rows: int = 0) -> pd.DataFrame:
    """A table of 100 to 3,000 rows: correlated and independent numbers, counts, dates and categories, some missing.

    With ``rows``, so many fresh rows of the same distribution.
    """
    rng, draws = np.random.default_rng(seed), np.random.default_rng([seed, rows])
    n = rows or int(np.exp(np.random.default_rng([seed, 1]).uniform(np.log(100), np.log(3000))))
    columns = {f"c{at}": _column(rng) for at in range(int(rng.integers(4, 15)))}
    levels, days, with_dates = int(rng.integers(2, 9)), int(rng.integers(30, 1500)), rng.random() < 0.5
    shared, group = draws.normal(size=(3, n)), draws.integers(0, levels, n)
    out = {name: column(draws, shared, group) for name, column in columns.items()}
    out["group"] = np.array(list("abcdefghi"))[group]
    if with_dates:
        start = pd.Timestamp("2019-01-01") + pd.to_timedelta(draws.integers(0, days, n), "D")
        out["first_day"] = start
        out["other_day"] = start + pd.to_timedelta(np.round(draws.normal(5, 40, n)), "D")
        out["moment"] = pd.Timestamp("2020-06-01") + pd.to_timedelta(draws.integers(0, 500_000, n), "min")
    frame = pd.DataFrame(out)
    for name in [name for name in out if rng.random() < 0.2]:
        frame[name] = frame[name].where(draws.random(n) >= rng.uniform(0.01, 0.4))
    return frame


def _column(rng: np.random.Generator) -> Rows:
    """A column that depends on the shared factors and the group by a random share."""
    share, weights = rng.choice([0.0, 0.5, 0.9, 0.99]), rng.normal(size=3) / np.sqrt(3)
    shifts = rng.choice([0.0, 0.5]) * rng.normal(size=9)
    kind, decimals, unit = int(rng.integers(8)), int(rng.integers(4)), int(rng.choice([1, 5, 10]))
    scale, place, level = rng.uniform(0.2, 1), rng.uniform(-1, 3), rng.normal()

    def draw(draws: np.random.Generator, shared: Any, group: Any) -> Any:
        own = np.sqrt(share) * (weights @ shared) + np.sqrt(1 - share) * draws.normal(size=len(group)) + shifts[group]
        kinds: list[Callable[[], Any]] = [
            lambda: np.round(50 * scale * own + 50 * place, decimals),
            lambda: np.round(np.exp(own * scale + 4), decimals),
            lambda: np.clip(np.round(own * 1.2 + 3), 1, 5),
            lambda: draws.poisson(np.exp(np.clip(own * 0.5 + place, -5, 6))),
            lambda: np.where(own > level, np.round(np.exp(own + 3), 2), 0.0),
            lambda: np.array(list("uvwxyz"))[np.digitize(own + draws.normal(size=len(own)), [-1, -0.3, 0.3, 1])],
            lambda: np.where(own > level, "yes", "no"),
            lambda: np.round(50 * np.exp(own * 0.2)) * unit,
        ]
        return kinds[kind]()

    return draw

"""Total variation distances of single columns and of pairs between two tables."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import numeric_values
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema

N_BINS = 20
MAX_PAIRS = 300

Codes = npt.NDArray[np.int64]


def mean_distances(real: pd.DataFrame, drawn: pd.DataFrame, schema: Schema) -> tuple[float, float]:
    """Return the mean total variation distance of single columns and of pairs."""
    learned = [name for name, column in schema.items() if not isinstance(column, (Identifier, Text))]
    codes = [_encode(schema[name], real[name], drawn[name]) for name in learned]
    pairs = list(combinations(range(len(codes)), 2))
    if len(pairs) > MAX_PAIRS:
        pairs = [pairs[i] for i in np.random.default_rng(0).choice(len(pairs), MAX_PAIRS, replace=False)]
    single = float(np.mean([_total_variation(real_codes, own) for real_codes, own, _ in codes]))
    joint = []
    for a, b in pairs:
        (first, second, _), (third, fourth, size) = codes[a], codes[b]
        joint.append(_total_variation(first * size + third, second * size + fourth))
    return round(single, 5), round(float(np.mean(joint)) if joint else single, 5)


def _encode(column: Column, real: pd.Series, drawn: pd.Series) -> tuple[Codes, Codes, int]:
    """Return the integer codes of a column in both tables (numbers binned), and the number of codes."""
    if isinstance(column, (Numeric, Datetime)):
        first, second = numeric_values(column, real), numeric_values(column, drawn)
        present = first[~np.isnan(first)]
        edges = np.unique(np.quantile(present, np.linspace(0, 1, N_BINS + 1)[1:-1])) if len(present) else np.zeros(0)
        found = [
            np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="right")) for x in (first, second)
        ]
        return found[0], found[1], len(edges) + 2
    both = pd.concat([real.astype(object), drawn.astype(object)])
    codes = pd.factorize(both.map(str).where(both.notna(), ""))[0].astype(np.int64)
    return codes[: len(real)], codes[len(real) :], int(codes.max()) + 1


def _total_variation(real: Codes, drawn: Codes) -> float:
    """Return the total variation distance."""
    cells = np.unique(np.concatenate([real, drawn]), return_inverse=True)[1]
    size = int(cells.max()) + 1
    one, two = (np.bincount(part, minlength=size) / len(part) for part in np.split(cells, [len(real)]))
    return float(np.abs(one - two).sum() / 2)

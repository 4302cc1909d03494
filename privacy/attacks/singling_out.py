"""Singling out: predicates from the synthetic table that match exactly one training record.

Article 29 Working Party, WP216, first criterion, as Giomi et al. measure it (PoPETs 2023, section 5.1): a predicate
matches exactly one synthetic row; it succeeds if it matches exactly one record of the attacked table. *Univariate*
predicates are a value or a tail of one column, *multivariate* ones combine several columns of one synthetic row.

One outlier may be singled out by many predicates, so predicates are not independent trials. The p-value and the
interval come from a permutation test of members and controls, which is exact for any predicates.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.rate_tests import normal_interval

MAX_PREDICATES = 1_500
"""Maximum number of predicates of each kind."""

MAX_BASELINE_PREDICATES = 500
"""Maximum number of predicates of each kind from held-out rows."""

MAX_TARGETS = 4_000
"""Maximum number of members, and of controls."""

MAX_SYNTHETIC_ROWS = 20_000
N_PERMUTATIONS = 333
"""Number of permutations per batch."""

MIN_PERMUTATIONS, MAX_PERMUTATIONS = 999, 9_990
MIN_EXCEEDANCES = 10
"""Number of extreme permutations after which sampling stops (Besag and Clifford, Biometrika 78, 1991)."""
PREDICATE_SIZES = (3, 4, 5, 6, 8, 10)
"""Number of columns in a multivariate predicate."""

Comparison = tuple[int, str, float]
"""Column number, operator (=, <= or >=) and value (a code for a category)."""


def attack_singling_out(game: MembershipGame, rng: np.random.Generator) -> list[AttackResult]:
    """Compare the shares of predicates that match exactly one member and exactly one control."""
    tables = [game.members, game.controls]
    count = min(MAX_TARGETS, *map(len, tables))
    pool = [_columns(table.take(np.arange(count))) for table in tables]
    rows = [np.concatenate(both) for both in zip(*pool, strict=True)]
    results = []
    source = drop_duplicate_rows(game.synthetic.take(np.arange(min(len(game.synthetic), MAX_SYNTHETIC_ROWS))))
    columns = _columns(source)
    for kind, predicates in (
        ("univariate", _univariate(source, columns, rng, MAX_PREDICATES)),
        ("multivariate", _multivariate(source, columns, rng, MAX_PREDICATES)),
    ):
        if predicates:
            results.append(_result(kind, predicates, rows, count, game, rng))
    return results


def drop_duplicate_rows(table: EncodedTable) -> EncodedTable:
    """Drop duplicate rows, so that a record copied twice counts once."""
    frame = pd.DataFrame(table.features())
    return table.take(np.flatnonzero(~frame.duplicated().to_numpy()))


def _columns(table: EncodedTable) -> list[Floats]:
    """Return every column as numbers: codes of categories, values of others, NaN where missing."""
    return list(table.features().T)


def _univariate(
    source: EncodedTable, columns: list[Floats], rng: np.random.Generator, maximum: int
) -> list[list[Comparison]]:
    """Return predicates on one column: values that occur once, and tails with one row."""
    out: list[list[Comparison]] = []
    for j, values in enumerate(columns):
        unique, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        out += [[(j, "=", float(value))] for value in unique[counts == 1]]
        if source.encoding.continuous[j] and len(unique):
            out += [[(j, "<=", float(unique[0]))]] * int(counts[0] == 1)
            out += [[(j, ">=", float(unique[-1]))]] * int(counts[-1] == 1)
    return [out[i] for i in rng.permutation(len(out))[:maximum]]


def _multivariate(
    source: EncodedTable, columns: list[Floats], rng: np.random.Generator, maximum: int
) -> list[list[Comparison]]:
    """Return predicates on several columns of a row that match no other row; numbers give one-sided bounds."""
    n_columns = len(columns)
    if n_columns < 2:
        return []
    sizes = [size for size in PREDICATE_SIZES if size <= n_columns] or [n_columns]
    medians = [np.nanmedian(values) if (~np.isnan(values)).any() else 0.0 for values in columns]
    cells = [values.tolist() for values in columns]
    out: list[list[Comparison]] = []
    for _ in range(3 * MAX_PREDICATES):
        row = int(rng.integers(len(source)))
        chosen = rng.permutation(n_columns)[: sizes[int(rng.integers(len(sizes)))]].tolist()
        comparisons: list[Comparison] = []
        for j in chosen:
            value = cells[j][row]
            if not source.encoding.continuous[j] or math.isnan(value):
                comparisons.append((j, "=", value))
            else:
                comparisons.append((j, ">=" if value >= medians[j] else "<=", value))
        if len(_find_matches(comparisons, columns, limit=2)) == 1:
            out.append(comparisons)
        if len(out) == maximum:
            break
    return out


def _find_matches(comparisons: list[Comparison], columns: list[Floats], limit: int | None = None) -> np.ndarray:
    """Return the numbers of the rows that satisfy all comparisons."""
    rows: np.ndarray | None = None
    for j, sign, value in comparisons:
        values = columns[j] if rows is None else columns[j][rows]
        if math.isnan(value):
            satisfied = np.isnan(values)
        else:
            satisfied = values == value if sign == "=" else values >= value if sign == ">=" else values <= value
        rows = satisfied.nonzero()[0] if rows is None else rows[satisfied]
        if not len(rows):
            break
    return np.empty(0, dtype=np.int64) if rows is None else rows[:limit]


def _result(
    kind: str,
    predicates: list[list[Comparison]],
    rows: list[Floats],
    count: int,
    game: MembershipGame,
    rng: np.random.Generator,
) -> AttackResult:
    matches = [_find_matches(comparisons, rows) for comparisons in predicates]
    ends = np.cumsum([0, *map(len, matches)])
    matrix = csr_matrix((np.ones(ends[-1]), np.concatenate(matches), ends), shape=(len(matches), 2 * count))
    total = np.asarray(matrix.sum(axis=1)).ravel()
    sides = np.zeros((2 * count, 1))
    sides[:count] = 1.0
    value = float(_isolation_difference(matrix, total, sides)[0])
    permuted = np.empty(0)
    while len(permuted) < MIN_PERMUTATIONS or (
        len(permuted) < MAX_PERMUTATIONS and (permuted >= value - 1e-12).sum() < MIN_EXCEEDANCES
    ):
        batch = _isolation_difference(matrix, total, _draw_sides(count, N_PERMUTATIONS, rng))
        permuted = np.concatenate([permuted, batch])
    first = np.asarray(matrix @ sides)[:, 0]
    low, high = normal_interval(value, float(permuted.std()))
    return AttackResult(
        name=f"singling_out_{kind}",
        group="singling_out",
        attack=f"{kind.capitalize()} predicates",
        records="random",
        title=f"Singling out, {kind}",
        value=100 * value,
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=permutation_p_value(value, permuted),
        p_reverse=permutation_p_value(-value, -permuted),
        success=float((first == 1).mean()),
        control=float((total - first == 1).mean()),
        baseline=_baseline(kind, game, rows, count, rng),
        description="Share of predicates that match exactly one training record minus that of predicates that match "
        "exactly one control.",
        method=f"{len(matches):,} predicates on {count:,} members and {count:,} controls (WP216; Giomi et al., 2023); "
        f"test and interval from {len(permuted):,} permutations of members and controls. Baseline: predicates from "
        "held-out rows.",
    )


def _draw_sides(count: int, n_permutations: int, rng: np.random.Generator) -> Floats:
    """Return random assignments of half of the rows to the first side, shape (rows, permutations)."""
    sides = np.zeros((n_permutations, 2 * count))
    for side in sides:
        side[rng.permutation(2 * count)[:count]] = 1.0
    return np.ascontiguousarray(sides.T)


def _isolation_difference(matrix: csr_matrix, total: Floats, sides: Floats) -> Floats:
    """Return the difference between the two sides in the share of predicates that match one row, by permutation."""
    first = np.asarray(matrix @ sides)
    return np.asarray((first == 1).mean(axis=0) - (total[:, None] - first == 1).mean(axis=0))


def permutation_p_value(value: float, permuted: Floats) -> float:
    """Return the one-sided p-value of a permutation test, at least 1 / (permutations + 1)."""
    return float((1 + (permuted >= value - 1e-12).sum()) / (1 + len(permuted)))


def _baseline(kind: str, game: MembershipGame, rows: list[Floats], count: int, rng: np.random.Generator) -> float:
    """Return the share of predicates from held-out rows that single out a member."""
    columns = _columns(game.reference)
    draw = _univariate if kind == "univariate" else _multivariate
    predicates = draw(game.reference, columns, rng, MAX_BASELINE_PREDICATES)
    members = [values[:count] for values in rows]
    return (
        float(np.mean([len(_find_matches(comparisons, members, limit=2)) == 1 for comparisons in predicates]))
        if predicates
        else 0.0
    )

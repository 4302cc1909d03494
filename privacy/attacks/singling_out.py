"""Singling out: predicates derived from the synthetic table that match exactly one training record.

Article 29 Working Party, WP216, first criterion, as Giomi et al. measure it (PoPETs 2023, section 5.1): a predicate is
one that fits exactly one synthetic row; it succeeds if it fits exactly one record of the attacked table. *Univariate*
predicates say one column's value or tail, *multivariate* ones join several columns of one synthetic row.

One outlier may be singled out by many predicates, so predicates are no independent trials. The p-value and the interval
come from a permutation test of members and controls, which is exact for any predicates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.rate_tests import normal_interval

MAX_PREDICATES = 1_500
"""Predicates of each kind at most."""

MAX_TARGETS = 4_000
"""Members, and controls, among which a predicate must fit one alone."""

MAX_SYNTHETIC_ROWS = 20_000
N_PERMUTATIONS = 333
"""Permutations drawn at a time."""

MIN_PERMUTATIONS, MAX_PERMUTATIONS = 999, 9_990
MIN_EXCEEDANCES = 10
"""Permutations at least as extreme at which no more are drawn (Besag and Clifford, Biometrika 78, 1991)."""
PREDICATE_SIZES = (3, 4, 5, 6, 8, 10)
"""Number of columns in a multivariate predicate."""

Test = tuple[int, str, float]
"""A column's number, one of =, <= and >=, and a value (a code for a category)."""


def attack_singling_out(game: MembershipGame, rng: np.random.Generator) -> list[Finding]:
    """Compare the predicates that match one member alone with those that match one control alone."""
    tables = [game.members, game.controls]
    count = min(MAX_TARGETS, *map(len, tables))
    pool = [_columns(table.take(np.arange(count))) for table in tables]
    rows = [np.concatenate(both) for both in zip(*pool, strict=True)]
    found = []
    source = drop_duplicate_rows(game.synthetic.take(np.arange(min(len(game.synthetic), MAX_SYNTHETIC_ROWS))))
    columns = _columns(source)
    for kind, predicates in (
        ("univariate", _univariate(source, columns, rng)),
        ("multivariate", _multivariate(source, columns, rng)),
    ):
        if predicates:
            found.append(_finding(kind, predicates, rows, count, game, rng))
    return found


def drop_duplicate_rows(table: EncodedTable) -> EncodedTable:
    """Return each different row once: a record that was copied twice is still one record."""
    frame = pd.DataFrame(table.features())
    return table.take(np.flatnonzero(~frame.duplicated().to_numpy()))


def _columns(table: EncodedTable) -> list[Floats]:
    """Every column as numbers: codes of categories, values of the others, missing as NaN."""
    return list(table.features().T)


def _univariate(source: EncodedTable, columns: list[Floats], rng: np.random.Generator) -> list[list[Test]]:
    """Return the values that occur once, and tails that hold one row."""
    out: list[list[Test]] = []
    for j, values in enumerate(columns):
        kinds, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        out += [[(j, "=", float(value))] for value in kinds[counts == 1]]
        if source.encoding.continuous[j] and len(kinds):
            out += [[(j, "<=", float(kinds[0]))]] * int(counts[0] == 1)
            out += [[(j, ">=", float(kinds[-1]))]] * int(counts[-1] == 1)
    return [out[i] for i in rng.permutation(len(out))[:MAX_PREDICATES]]


def _multivariate(source: EncodedTable, columns: list[Floats], rng: np.random.Generator) -> list[list[Test]]:
    """Return predicates on several columns of one synthetic row that fit no other row; numbers are one-sided bounds."""
    d = len(columns)
    if d < 2:
        return []
    sizes = [size for size in PREDICATE_SIZES if size <= d] or [d]
    middle = [np.nanmedian(values) if (~np.isnan(values)).any() else 0.0 for values in columns]
    out: list[list[Test]] = []
    for _ in range(3 * MAX_PREDICATES):
        row, chosen = int(rng.integers(len(source))), rng.permutation(d)[: int(rng.choice(sizes))]
        tests: list[Test] = []
        for j in chosen:
            value = columns[j][row]
            if not source.encoding.continuous[j] or np.isnan(value):
                tests.append((int(j), "=", float(value)))
            else:
                tests.append((int(j), ">=" if value >= middle[j] else "<=", float(value)))
        if len(_find_matches(tests, columns, most=2)) == 1:
            out.append(tests)
        if len(out) == MAX_PREDICATES:
            break
    return out


def _find_matches(tests: list[Test], columns: list[Floats], most: int | None = None) -> np.ndarray:
    """Return the numbers of the rows that meet all tests."""
    left: np.ndarray | None = None
    for j, sign, value in tests:
        values = columns[j] if left is None else columns[j][left]
        if np.isnan(value):
            good = np.isnan(values)
        else:
            good = values == value if sign == "=" else values >= value if sign == ">=" else values <= value
        left = np.flatnonzero(good) if left is None else left[good]
        if not len(left):
            break
    return np.empty(0, dtype=np.int64) if left is None else left[:most]


def _finding(
    kind: str,
    predicates: list[list[Test]],
    rows: list[Floats],
    count: int,
    game: MembershipGame,
    rng: np.random.Generator,
) -> Finding:
    fits = [_find_matches(tests, rows) for tests in predicates]
    ends = np.cumsum([0, *map(len, fits)])
    matrix = csr_matrix((np.ones(ends[-1]), np.concatenate(fits), ends), shape=(len(fits), 2 * count))
    total = np.asarray(matrix.sum(axis=1)).ravel()
    sides = np.zeros((2 * count, 1))
    sides[:count] = 1.0
    value = float(_isolation_difference(matrix, total, sides)[0])
    others = np.empty(0)
    while len(others) < MIN_PERMUTATIONS or (
        len(others) < MAX_PERMUTATIONS and (others >= value - 1e-12).sum() < MIN_EXCEEDANCES
    ):
        more = _isolation_difference(matrix, total, _draw_sides(count, N_PERMUTATIONS, rng))
        others = np.concatenate([others, more])
    first = np.asarray(matrix @ sides)[:, 0]
    low, high = normal_interval(value, float(others.std()))
    return Finding(
        name=f"singling_out_{kind}",
        group="singling_out",
        attack=f"{kind.capitalize()} predicates",
        records="random",
        title=f"Singling out, {kind}",
        value=100 * value,
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=permutation_p_value(value, others),
        p_reverse=permutation_p_value(-value, -others),
        success=float((first == 1).mean()),
        control=float((total - first == 1).mean()),
        baseline=_baseline(kind, game, rows, count, rng),
        description="Predicates from the synthetic table that fit exactly one training record, less those that fit "
        "exactly one other.",
        method=f"{len(fits):,} predicates on {count:,} members and {count:,} controls (WP216; Giomi et al., 2023); "
        f"test and interval from {len(others):,} permutations of members and controls. Baseline: predicates from "
        "held-out rows.",
    )


def _draw_sides(count: int, deals: int, rng: np.random.Generator) -> Floats:
    """Return the random assignments of half of the rows to the first side, shape (rows, deals)."""
    sides = np.zeros((2 * count, deals))
    for i in range(deals):
        sides[rng.permutation(2 * count)[:count], i] = 1.0
    return sides


def _isolation_difference(matrix: csr_matrix, total: Floats, sides: Floats) -> Floats:
    """Share of the predicates that fit one row of the first side, less the same of the second, shape (deals,)."""
    first = np.asarray(matrix @ sides)
    return np.asarray((first == 1).mean(axis=0) - (total[:, None] - first == 1).mean(axis=0))


def permutation_p_value(value: float, others: Floats) -> float:
    """Return the one-sided p-value of a permutation test; never below one over the number of deals."""
    return float((1 + (others >= value - 1e-12).sum()) / (1 + len(others)))


def _baseline(kind: str, game: MembershipGame, rows: list[Floats], count: int, rng: np.random.Generator) -> float:
    """Return the share of predicates derived from held-out rows that single out a member."""
    columns = _columns(game.reference)
    make = _univariate if kind == "univariate" else _multivariate
    predicates = make(game.reference, columns, rng)[:500]
    members = [values[:count] for values in rows]
    return (
        float(np.mean([len(_find_matches(tests, members, most=2)) == 1 for tests in predicates])) if predicates else 0.0
    )

"""Allocation of the privacy budget and size of the mixture, from public facts and the noisy number of rows.

Both follow from the *signal*, rows times the square root of the budget (rho): the signal-to-noise ratio of the number
of rows if the whole budget were spent on that count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.sign_products.products import product_threshold

REFERENCE_SIGNAL = 5000.0
"""Signal of about 32,000 rows at epsilon 1 and delta 1e-6, the reference of the factors below."""

MAX_MULTIPLICATIONS = 2e12
"""Maximum multiplications of a fit, about half a minute on one core; larger fits get fewer components and steps."""

DEFAULT_EXPECTED_ROWS = 10_000
"""Assumed number of rows before it is measured, if it is not public."""

LEVELS = {"coarse pairs": 0.06, "medium pairs": 0.24, "triples": 0.15, "fine": 0.55}
"""Shares of the budget of joint counts: all pairs on coarse and on medium groups, triples with the target on coarse
groups, and the strongest pairs on all tokens. Without a target, the share of the triples goes to the others."""

NOISY_LEVELS = {"coarse pairs": 0.35, "medium pairs": 0.2, "triples": 0.1, "fine": 0.35}
"""The same at low signals; at still lower ones, tables of few columns need the fine counts."""

N_TOTAL_CELLS = 3.0
"""Weight of the number of rows in the budget; a column has the square root of its number of cells."""

MAX_CELLS_COUNTED_ONCE = 32
"""Columns with more cells are counted a second time, on bins chosen from the first count."""

MIN_SIGNAL_COUNTED_TWICE = 0.1
"""Below this signal the first count is too noisy to choose bins and tails."""

MEASUREMENTS_SHARE = 0.25
"""Share of the budget for a second count of numbers with decimals below that signal, multiplied by their share of the
columns. Its counts are smoothed, which is wrong for columns with point masses, such as amounts that are often zero."""

POINT_MASS_SIGMAS = 4.0
"""Rows at a single number, in standard deviations of noise, that are more than noise among some hundred numbers."""

SECOND_LOOK = 0.6
"""Share of a long column's budget for its second count."""

N_REFERENCE_PAIRS = 105
"""Number of pairs of a table of 15 columns, the reference of the thresholds below."""

MIN_JOINT_SIGNAL = 0.06
"""Below this signal, for a table of 15 columns, the model is independent: counts of pairs would be mostly noise."""

CLEAR_SIGNAL = 0.4
"""Above this signal, for a table of 15 columns, pairs are counted however little the columns depend on each other."""

REFERENCE_DEPENDENCE = 0.175
"""Root mean square product of signs to which the minimum signal refers."""

MAX_DEPENDENCE = 0.5
"""Columns of no usual table depend more on each other."""

DEPENDENCE_NOISE = 0.2
"""Standard deviation of the measured mean square product, relative to that at which pairs are worth their noise."""

MAX_DEPENDENCE_SHARE = 0.03
"""Maximum share of the budget for the measure of dependence."""

MIN_TABLE_SIGNAL = 0.02
"""Below this signal the model is independent for any number of columns."""

MIN_PRODUCT = 0.2
"""Mean product of signs that must exceed the noise; it determines the budget of the products in short tables."""

MAX_PRODUCTS_SHARE = 0.2
"""Maximum share of the budget for products; if they need more, they are not measured."""

CONTINUOUS_SHARE = 0.75
"""Minimum share of long columns of numbers with decimals in a table of which products of signs describe the pairs."""

MAX_PRODUCTS_SIGNAL = 0.2
"""Above this signal, for a table of 15 columns, counts of the pairs of such a table are better than products."""

MIN_BINS = 16
"""Approximate number of tokens of a numeric column if pairs are not counted, or on fewer bins."""

LOW_SIGNAL = 0.3
"""Below this signal columns have fewer groups, and their coarse counts a larger share."""

MIN_COMPONENTS = 64
"""Minimum components of a mixture whose size follows from the rows and the budget."""

PENALTY = 0.025
"""Penalty of a mixture at the reference signal."""

COPULA_PENALTY = 0.08
"""Factor of the penalty where products of signs and public facts are fitted: these hardly have noise left."""

N_POOLED = 3
"""Number of mixtures with different initial values that are pooled; their mean is less noisy than one mixture."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Configuration of a mixture fit.

    Attributes:
        components: Number of components of each mixture.
        steps: Steps of Adam.
        rate: Maximum learning rate.
        penalty: Weight of the components' deviation from the one-column marginals, per row.
        pool: Number of mixtures that are fitted and pooled.
    """

    components: int
    steps: int
    rate: float
    penalty: float
    pool: int = 1


def mixture_config(rows: float, rho: float, components: int | None = None, cells: int = 0) -> MixtureConfig:
    """Choose the configuration for a noisy number of rows and a budget.

    Args:
        rows: The noisy number of units.
        rho: The budget, as rho.
        components: Components of the pooled mixture, if the user sets them.
        cells: Number of cells that each step predicts.
    """
    signal = signal_to_noise(rows, rho)
    pool = N_POOLED if components is None or components >= N_POOLED * MIN_COMPONENTS else 1
    wanted = components // pool if components else int(np.clip(round(160 * signal ** (1 / 3)), MIN_COMPONENTS, 512))
    steps = int(np.clip(round(400 * signal ** (1 / 3)), 150, 1000))
    # A step is two products of (components x cells) by (cells x cells) for each group.
    dear = 4.0 * pool * wanted * steps * cells / MAX_MULTIPLICATIONS
    if dear > 1:
        steps = max(round(steps / np.sqrt(dear)), 150)
        wanted = components // pool if components else max(round(wanted / np.sqrt(dear)), MIN_COMPONENTS)
    return MixtureConfig(components=wanted, steps=steps, rate=0.2, penalty=float(PENALTY * signal**0.75), pool=pool)


@dataclass(frozen=True)
class OneWayPlan:
    """The counts of single columns and their shares of the budget.

    Attributes:
        tables: The column of each table, whether its cells are the column's blocks, and its number of cells.
        shares: The share of each table, then of the number of rows.
        second: The share of the second count of each long column.
    """

    tables: list[tuple[str, bool, int]]
    shares: list[float]
    second: dict[str, float]


def plan_one_ways(grids: Mapping[str, Grid], share: float, expected_rows: float, rho: float) -> OneWayPlan:
    """Split the share of single columns in proportion to the square root of their number of cells, or of blocks."""
    twice = signal_to_noise(expected_rows, rho) >= MIN_SIGNAL_COUNTED_TWICE
    second = {name: 0.0 for name, grid in grids.items() if twice and len(grid.low) > MAX_CELLS_COUNTED_ONCE}
    tables: list[tuple[str, bool, int]] = []
    for name, grid in grids.items():
        tables.append((name, False, grid.size))
        if grid.blocks[-1] > 1:
            tables.append((name, True, int(grid.blocks[-1]) + 1))
    # The cells of a wide column need more budget than they are worth: they get no more than its blocks.
    weight = np.append(np.sqrt([_n_weighted(grids[name]) for name, _, _ in tables]), N_TOTAL_CELLS)
    weight *= share / weight.sum()
    for place, (name, _, _) in enumerate(tables):
        if name in second:
            second[name] += SECOND_LOOK * weight[place]
            weight[place] *= 1 - SECOND_LOOK
    return OneWayPlan(tables, weight.tolist(), second)


def independent_shares(grids: Mapping[str, Grid], share: float) -> dict[str, float]:
    """Split what pairs would have cost between the second counts of all columns, if single columns get it."""
    each = np.sqrt([_n_weighted(grid) for grid in grids.values()])
    return dict(zip(grids, (share * each / each.sum()).tolist(), strict=True))


def measurement_shares(
    grids: Mapping[str, Grid], rows: float, rho: float, with_point_mass: Collection[str] = ()
) -> dict[str, float]:
    """Return the shares of a second count of long columns with decimals; empty if the first one is precise."""
    if signal_to_noise(rows, rho) >= MIN_SIGNAL_COUNTED_TWICE:
        return {}
    smooth = {name: grids[name] for name in _continuous(grids) if name not in with_point_mass}
    return independent_shares(smooth, MEASUREMENTS_SHARE * len(smooth) / len(grids)) if smooth else {}


def _continuous(grids: Mapping[str, Grid]) -> list[str]:
    """Return the long columns of numbers with decimals."""
    return [name for name, grid in grids.items() if len(grid.low) > MAX_CELLS_COUNTED_ONCE and grid.decimals != 0]


def _n_weighted(grid: Grid) -> int:
    """Return a column's number of cells, or of blocks for a wide numeric column."""
    return int(grid.blocks[-1]) + 1 if grid.blocks[-1] > 1 else grid.size


def level_shares(names: Iterable[str], share: float, rows: float, rho: float) -> dict[str, float]:
    """Split the share of joint counts between the finest level and the named others."""
    levels = NOISY_LEVELS if MIN_SIGNAL_COUNTED_TWICE <= signal_to_noise(rows, rho) < LOW_SIGNAL else LEVELS
    parts = {name: levels[name] for name in (*names, "fine")}
    return {name: share * part / sum(parts.values()) for name, part in parts.items()}


def n_groups(rows: float, rho: float) -> tuple[int, int]:
    """Return the groups of a column at the coarse and the medium resolution."""
    return (4, 8) if signal_to_noise(rows, rho) >= LOW_SIGNAL else (3, 8)


def n_trees(rows: float, rho: float) -> int:
    """Return the number of spanning trees of pairs that are counted on all tokens: more with less noise."""
    return int(np.clip(round(4 * signal_to_noise(rows, rho) ** 0.5), 2, 12))


def independent(rows: float, rho: float, pairs: int, dependence: float = REFERENCE_DEPENDENCE) -> bool:
    """Return whether counts of this many pairs would be mostly noise; single columns then get the whole budget.

    Args:
        rows: The noisy number of units.
        rho: The budget, as rho.
        pairs: Number of pairs.
        dependence: Root mean square product of signs of the pairs, beyond that of independent columns.
    """
    # Weak dependence needs more signal than in proportion (see benchmarks/private.py at epsilon 0.05 to 0.2).
    least = MIN_JOINT_SIGNAL * (REFERENCE_DEPENDENCE / max(dependence, 1e-9)) ** 2
    return pairs > 0 and (
        signal_to_noise(rows, rho) < MIN_TABLE_SIGNAL or _joint_signal(rows, rho, pairs) < min(least, CLEAR_SIGNAL)
    )


def dependence_share(rows: float, rho: float, pairs: int) -> float:
    """Return the share of the budget for the measure of dependence; none if no result could change the choice."""
    if not pairs or independent(rows, rho, pairs, MAX_DEPENDENCE) or not independent(rows, rho, pairs, 0.0):
        return 0.0
    # The mean of squared noise has a standard deviation of its variance times the root of 2 / pairs.
    least = DEPENDENCE_NOISE * MIN_JOINT_SIGNAL * REFERENCE_DEPENDENCE**2 * _joint_signal(rows, rho, pairs)
    share = N_REFERENCE_PAIRS * np.sqrt(2 / pairs) / (2 * REFERENCE_SIGNAL**2 * least)
    return float(min(share, MAX_DEPENDENCE_SHARE))


def _joint_signal(rows: float, rho: float, pairs: int) -> float:
    """Return the signal of a table of 15 columns whose pairs are as noisy."""
    return float(signal_to_noise(rows, rho) * np.sqrt(N_REFERENCE_PAIRS / pairs)) if pairs else np.inf


def products_share(rows: float, rho: float, pairs: int, target_pairs: int) -> tuple[float, int]:
    """Return the share of the budget for products of signs in a short table, and the number of pairs measured.

    These are all pairs, or those with the target, or none.
    """
    for number in (pairs, target_pairs):
        share = number * product_threshold(number) ** 2 / (2 * rho * (MIN_PRODUCT * rows) ** 2)
        if number and share <= MAX_PRODUCTS_SHARE:
            return share, number
    return 0.0, 0


def prefers_products(
    grids: Mapping[str, Grid], rows: float, rho: float, pairs: int, with_point_mass: Collection[str] = ()
) -> bool:
    """Return whether products of signs of continuous columns are expected to be better than noisy counts of pairs."""
    continuous = [name for name in _continuous(grids) if name not in with_point_mass]
    return (
        pairs > 0
        and len(continuous) >= CONTINUOUS_SHARE * len(grids)
        and _joint_signal(rows, rho, pairs) < MAX_PRODUCTS_SIGNAL
        and products_share(rows, rho, pairs, 0)[1] == pairs
    )


def n_bins(rows: float, rho: float) -> int:
    """Return the approximate number of bins of a numeric column in the finest counts of pairs."""
    return int(np.clip(round(24 * signal_to_noise(rows, rho) ** 0.45), 6, 64))


def n_tokens(rows: float, rho: float) -> int:
    """Return the approximate number of tokens of a numeric column: at least its bins in the finest counts of pairs."""
    return max(n_bins(rows, rho), MIN_BINS if signal_to_noise(rows, rho) >= MIN_SIGNAL_COUNTED_TWICE else 0)


def one_way_share(expected_rows: float, rho: float) -> float:
    """Return the share of the budget for the fine counts of single columns."""
    signal = signal_to_noise(expected_rows, rho)
    share = float(np.clip(0.15 * signal**-0.3, 0.1, 0.33))
    # Columns that are counted twice pay for both counts; below that signal second counts have shares of their own.
    return share if signal < MIN_SIGNAL_COUNTED_TWICE else max(share, min(0.085 * signal**-0.8, 0.5))


def signal_to_noise(rows: float, rho: float) -> float:
    """Return the signal relative to the reference."""
    return float(max(rows, 1.0) * np.sqrt(rho) / REFERENCE_SIGNAL)

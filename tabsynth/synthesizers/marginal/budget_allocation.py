"""One rule from public facts and the noisy number of rows: how the budget is parted and how large the mixture is.

Everything follows from the *signal*, the number of rows times the square root of the zCDP budget: it is how many
standard deviations of noise the whole table would amount to if all of the budget went to one count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE_SIGNAL = 5000.0
"""The signal of about 32,000 rows at epsilon 1 and delta 1e-6, which the factors below refer to."""

MAX_MULTIPLICATIONS = 2e12
"""Multiplications of a whole fit, some half a minute of one core: a larger one gets fewer components and steps."""

DEFAULT_EXPECTED_ROWS = 10_000
"""Rows that are supposed where their number is not public, before they are counted."""

LEVELS = {"coarse pairs": 0.06, "medium pairs": 0.24, "triples": 0.15, "fine": 0.55}
"""Shares of what the counts of several columns may cost: all pairs at few groups and at more, triples with the target
at few, and the strongest pairs at all tokens. Where there is no target, the others share what triples would cost."""

N_REFERENCE_PAIRS = 105
"""Pairs of a table of 15 columns, among which the budget of counts is parted."""

MIN_JOINT_SIGNAL = 0.04
"""Below this signal, for a table of 15 columns, columns are independent: counts of pairs would be noise."""

LOW_SIGNAL = 0.3
"""Below this signal groups are fewer."""

MIN_COMPONENTS = 64
"""Fewest components of a mixture whose size follows from the rows and the budget."""

N_POOLED = 3
"""Mixtures that are fitted from other starts and pooled: the mean of three has less of the noise than one as large."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """How a mixture is fitted.

    Attributes:
        components: Number of components of each mixture.
        steps: Steps of Adam.
        rate: Its largest step.
        penalty: Weight of the components' divergence from the one-column marginals, per row.
        pool: How many mixtures are fitted and pooled.
    """

    components: int
    steps: int
    rate: float
    penalty: float
    pool: int = 1


def mixture_config(rows: float, rho: float, components: int | None = None, cells: int = 0) -> MixtureConfig:
    """The mixture for a noisy number of rows and a budget.

    Args:
        rows: The noisy number of units.
        rho: The zCDP budget.
        components: Components of the pooled mixture where the user asks for a number of them.
        cells: Cells that a step predicts.
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
    return MixtureConfig(components=wanted, steps=steps, rate=0.2, penalty=float(0.02 * signal**0.75), pool=pool)


def n_groups(rows: float, rho: float) -> tuple[int, int]:
    """Groups of a column at the coarse and the medium resolution."""
    return (4, 8) if signal_to_noise(rows, rho) >= LOW_SIGNAL else (3, 8)


def n_trees(rows: float, rho: float) -> int:
    """Spanning trees of pairs that are counted at all tokens: more where noise is less."""
    return int(np.clip(round(4 * signal_to_noise(rows, rho) ** 0.5), 2, 12))


def independent(rows: float, rho: float, columns: int) -> bool:
    """Whether counts of pairs would be mostly noise; single columns then get the whole budget."""
    pairs = max(columns * (columns - 1) / 2, 1.0)
    return columns > 1 and signal_to_noise(rows, rho) * np.sqrt(N_REFERENCE_PAIRS / pairs) < MIN_JOINT_SIGNAL


def n_bins(rows: float, rho: float) -> int:
    """About how many tokens a line is cut into."""
    # Where noise is the larger part of an error, more bins bring more of it; where it is not, they bring detail.
    return int(np.clip(round(24 * signal_to_noise(rows, rho) ** 0.45), 6, 64))


def one_way_share(expected_rows: float, rho: float) -> float:
    """The share of the budget that goes to the fine counts of single columns."""
    return float(np.clip(0.15 * signal_to_noise(expected_rows, rho) ** -0.3, 0.1, 0.33))


def signal_to_noise(rows: float, rho: float) -> float:
    """The signal, in units of the reference."""
    return float(max(rows, 1.0) * np.sqrt(rho) / REFERENCE_SIGNAL)

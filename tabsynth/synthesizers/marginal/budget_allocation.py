"""One rule from public facts and the noisy number of rows: how the budget is parted and how large the mixture is.

Everything follows from the *signal*, the number of rows times the square root of the zCDP budget: it is how many
standard deviations of noise the whole table would amount to if all of the budget went to one count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE_SIGNAL = 5000.0
"""The signal of about 32,000 rows at epsilon 1 and delta 1e-6, which the factors below refer to."""

N_REFERENCE_TABLES = 200
"""Pairs and triples that are counted in a table of 15 columns with a target, which the number of bins refers to."""

MAX_MULTIPLICATIONS = 2e12
"""Multiplications of a whole fit, some half a minute of one core: a larger one gets fewer components and steps."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """How a mixture is fitted.

    Attributes:
        components: Number of components.
        steps: Steps of Adam.
        rate: Its largest step.
        penalty: Weight of the components' divergence from the one-column marginals, per row.
    """

    components: int
    steps: int
    rate: float
    penalty: float


def mixture_config(
    rows: float, rho: float, components: int | None = None, cells: int = 0, groups: int = 1
) -> MixtureConfig:
    """The mixture for a noisy number of rows and a budget.

    Args:
        rows: The noisy number of units.
        rho: The zCDP budget.
        components: Components where the user asks for a number of them.
        cells: Tokens of all columns together.
        groups: Groups of the target's tokens within which pairs are counted.
    """
    signal = signal_to_noise(rows, rho)
    wanted = components or int(np.clip(round(384 * signal ** (1 / 3)), 128, 1536))
    steps = int(np.clip(round(400 * signal ** (1 / 3)), 150, 1000))
    # A step is two products of (components x cells) by (cells x cells) for each group.
    dear = 4.0 * wanted * steps * cells**2 * max(groups, 1) / MAX_MULTIPLICATIONS
    if dear > 1:
        steps = max(round(steps / np.sqrt(dear)), 150)
        wanted = components or max(round(wanted / np.sqrt(dear)), 128)
    return MixtureConfig(components=wanted, steps=steps, rate=0.2, penalty=float(0.02 * signal**0.75))


def n_bins(rows: float, rho: float, tables: int = N_REFERENCE_TABLES) -> int:
    """About how many tokens a line is cut into, where the budget is parted among some tables of counts."""
    signal = signal_to_noise(rows, rho * N_REFERENCE_TABLES / max(tables, 1))
    # Where noise is the larger part of an error, more bins bring more of it; where it is not, they bring detail.
    return int(np.clip(round(18 * signal ** (0.25 if signal < 1 else 0.4)), 6, 64))


def one_way_share(expected_rows: float, rho: float) -> float:
    """The share of the budget that goes to the fine counts of single columns."""
    return float(np.clip(0.15 * signal_to_noise(expected_rows, rho) ** -0.3, 0.1, 0.33))


def signal_to_noise(rows: float, rho: float) -> float:
    """The signal, in units of the reference."""
    return float(max(rows, 1.0) * np.sqrt(rho) / REFERENCE_SIGNAL)
